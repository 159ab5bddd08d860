"""Reading a journey definition: the defaults, a shop's own file over them, and what is wrong with it in words."""

from __future__ import annotations

import difflib
import re
import tomllib
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from features.errors import InvalidEvent, InvalidJourney
from features.events import EventType, canonical, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EVENT_TYPES: Final = frozenset(str(event_type) for event_type in EventType)
DEFAULTS: Final = Path(__file__).with_name("journey.toml")
MAX_INTEREST: Final = 64
"""A state keeps 64 records of evidence; a threshold above that could never be seen."""

Days = Annotated[float, Meta(gt=0, le=400)]
"""Up to the age at which a state is forgotten; parts of a day are allowed."""
Parts = Annotated[float, Meta(ge=0, le=1_000)]
Text = Annotated[str, Meta(min_length=1, max_length=64)]
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]


class PredicateTable(Struct, forbid_unknown_fields=True, frozen=True):
    """``{ type = "refund", where = { full = true } }``."""

    type: str | list[str]
    where: dict[str, str | Whole | bool] = {}

    @property
    def types(self) -> tuple[str, ...]:
        return (self.type,) if isinstance(self.type, str) else tuple(self.type)


class Signals(Struct, forbid_unknown_fields=True, frozen=True):
    """What counts as evidence; a line is part of a signal when any of its predicates holds."""

    interest: list[PredicateTable]
    intent: list[PredicateTable]
    order: list[PredicateTable]
    fulfilled: list[PredicateTable]
    cancelled: list[PredicateTable]


class Engagement(Struct, forbid_unknown_fields=True, frozen=True):
    """Thresholds of the stage engagement."""

    min_interest: Annotated[int, Meta(ge=1, le=MAX_INTEREST)]
    ttl_days: Days


class Transaction(Struct, forbid_unknown_fields=True, frozen=True):
    """Thresholds of the stage transaction."""

    max_days: Days
    after_fulfilled_days: Days


class Retention(Struct, forbid_unknown_fields=True, frozen=True):
    """Thresholds of the stage retention."""

    at_risk_after_days: Days


class Kinds(Struct, forbid_unknown_fields=True, frozen=True):
    """What a slate is made of, in parts: only what they are to each other counts."""

    product: Parts
    content: Parts
    action: Parts

    @property
    def shares(self) -> tuple[float, float, float]:
        """Of product, content and action; they sum to one."""
        whole = self.product + self.content + self.action
        return self.product / whole, self.content / whole, self.action / whole


class Mix(Struct, forbid_unknown_fields=True, frozen=True):
    """What a slate is made of in each stage."""

    awareness: Kinds
    engagement: Kinds
    transaction: Kinds
    retention: Kinds


FIRST_MIX: Final = Mix(Kinds(0.5, 0.4, 0.1), Kinds(0.55, 0.35, 0.1), Kinds(0.4, 0.3, 0.3), Kinds(0.6, 0.25, 0.15))
"""Of definitions from before they held one."""


class Definition(Struct, forbid_unknown_fields=True, frozen=True):
    """A whole journey definition, as merged and checked."""

    version: Text
    signals: Signals
    engagement: Engagement
    transaction: Transaction
    retention: Retention
    mix: Mix = FIRST_MIX

    @property
    def digest(self) -> str:
        """Hex digest of everything that is defined."""
        return blake2b(msgspec.json.encode(self, order="sorted"), digest_size=8).hexdigest()


def read_definition(path: Path | None = None) -> Definition:
    """The defaults, overridden by the file at ``path``.

    A file that changes something and gives no version of its own gets the default's with a digest.

    Raises
    ------
    InvalidJourney
        Not a readable TOML file, an unknown key, a value of a wrong type or out of bounds, an unknown
        event type. The message names the key and says what is allowed.
    """
    defaults = _read(DEFAULTS)
    if path is None:
        return definition_of(defaults)
    own = _read(path)
    definition = definition_of(_merged(defaults, own))
    if "version" in own or definition == definition_of(defaults):
        return definition
    return msgspec.structs.replace(definition, version=f"{definition.version}+{definition.digest[:8]}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidJourney(f"{path.name}: expected a readable TOML file of UTF-8 text, got {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidJourney(f"{path.name}: expected TOML, got: {error}") from error


def _merged(base: Any, own: Any) -> Any:
    """``own`` over ``base``, table by table; anything that is not a table is replaced as a whole."""
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}


def definition_of(table: dict[str, Any]) -> Definition:
    """A whole definition, checked; errors as :func:`read_definition`."""
    _check_keys(table, Definition, ())
    try:
        definition = msgspec.convert(table, Definition)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        message = message.replace("`object`", "a table").replace("`array`", "a list").replace("Expected", "expected", 1)
        raise _invalid(_steps(path), message) from error
    for steps, predicate in _predicates(definition):
        _check_predicate(steps, predicate)
    for stage in definition.mix.__struct_fields__:
        kinds = getattr(definition.mix, stage)
        if not kinds.product + kinds.content + kinds.action:
            raise _invalid(("mix", stage), "expected a number above 0 for product, content or action, got 0 for each")
    return definition


def _check_keys(table: Any, shape: type[Struct], steps: tuple[str, ...]) -> None:
    if not isinstance(table, dict):
        return
    fields = {field.name: field.type for field in msgspec.structs.fields(shape)}
    for key, value in table.items():
        if key not in fields:
            raise _invalid((*steps, key), f"unknown key; {_allowed(key, fields)}")
        if isinstance(fields[key], type) and issubclass(fields[key], Struct):
            _check_keys(value, fields[key], (*steps, key))
        elif shape is Signals and isinstance(value, list):
            for n, predicate in enumerate(value):
                _check_keys(predicate, PredicateTable, (*steps, key, str(n)))


def _predicates(definition: Definition) -> Iterator[tuple[tuple[str, ...], PredicateTable]]:
    for name in definition.signals.__struct_fields__:
        for n, predicate in enumerate(getattr(definition.signals, name)):
            yield ("signals", name, str(n)), predicate


def _check_predicate(steps: tuple[str, ...], predicate: PredicateTable) -> None:
    if not predicate.types:
        raise _invalid((*steps, "type"), "expected at least one event type")
    for name in predicate.types:
        if name not in EVENT_TYPES:
            raise _invalid(
                (*steps, "type"), f"unknown event type {name!r}; {_allowed(type_of(name) or name, EVENT_TYPES)}"
            )
    for name, value in predicate.where.items():
        try:
            canonical({name: value})
        except InvalidEvent as error:
            raise _invalid((*steps, "where", name), str(error)) from error


def _allowed(name: str, names: Iterable[str]) -> str:
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}allowed: {', '.join(known)}"


def _steps(path: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^.\[\]`]+", path))


def _invalid(steps: tuple[str, ...], message: str) -> InvalidJourney:
    return InvalidJourney(f"{'.'.join(steps)}: {message}", pointer="".join(f"/{step}" for step in steps))
