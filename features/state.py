"""The customer state: a mergeable summary, declared once and computed by two engines.

Online ``state = merge(state, lift(line))``; offline a GROUP BY over the log that is generated from
the same declaration (``features/state_fields.py``, ``training/relational.py``).

The law: a record may be dropped only because of its own immutable key, never because of a value that
is summed. Then the merge is commutative and associative and order of arrival does not matter.
The sum is not idempotent: events are deduplicated by ``event_id`` before they are merged.
"""

from __future__ import annotations

import bisect
import functools
import operator
from hashlib import blake2b
from types import GenericAlias
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from features.state_fields import (
    CHANNELS,
    COLUMN_VALUES,
    FIELDS,
    ITEM_SUMS,
    JOURNEY_SIGNALS,
    KEY_VALUES,
    SIGNALS,
    Extreme,
    Field,
    Last,
    Recent,
    Signal,
    Total,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from features.events import Line

__all__ = ["CHANNELS", "FIELDS", "ITEM_SUMS", "JOURNEY_SIGNALS", "SIGNALS", "Schema", "last_value"]

Record: TypeAlias = tuple[int, ...]
Lifter: TypeAlias = "Callable[[Line, frozenset[str]], Any]"
_Needles: TypeAlias = tuple[tuple[str, str], ...]


class Schema:
    """The declared fields, bound to a journey definition's signals.

    Parameters
    ----------
    journey_signals
        The five signals of ``JOURNEY_SIGNALS``.

    Attributes
    ----------
    hash
        Hex digest of fields, signals and sizes. A stored state and a bundle carry it, so that numbers
        of one meaning are never read as another.
    """

    def __init__(self, journey_signals: Mapping[str, Signal], fields: tuple[Field, ...] = FIELDS) -> None:
        self.fields = fields
        self.signals: dict[str, Signal] = {**SIGNALS, **{name: journey_signals[name] for name in JOURNEY_SIGNALS}}
        self.hash = blake2b(repr((fields, sorted(self.signals.items()))).encode(), digest_size=8).hexdigest()
        self.State: type[msgspec.Struct] = msgspec.defstruct(
            "State", [(f.name, _python_type(f), _zero(f)) for f in fields], array_like=True, frozen=True
        )
        self._lifters = tuple((at, _signals_read(f), _lifter(f)) for at, f in enumerate(fields))
        self._mergers = tuple(_merger(f) for f in fields)
        self._plans: dict[frozenset[str], tuple[tuple[int, Lifter], ...]] = {}
        self._alike: dict[tuple[str, str], frozenset[str]] = {}
        self._by_type: dict[str, tuple[tuple[str, _Needles], ...]] = {}
        for name, signal in self.signals.items():
            for predicate in signal.any_of:
                for event_type in predicate.types:
                    entry = (name, predicate.needles())
                    self._by_type[event_type] = (*self._by_type.get(event_type, ()), entry)
        self._decode = msgspec.msgpack.Decoder(self.State).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def empty(self) -> Any:
        """State of a customer of whom nothing is known: the neutral element of :meth:`merge`."""
        return self.State()

    def signals_of(self, line: Line) -> frozenset[str]:
        """Names of the signals that a line belongs to; none when it may not count."""
        if not line.counts:
            return frozenset()
        known = self._alike.get((line.type, line.channel))
        if known is not None:
            return known
        signals = self._by_type.get(line.type, ())
        names = {name for name, needles in signals if _has_all(needles, line.properties)}
        if "touch" in names and line.channel in CHANNELS:
            names.add(f"channel:{line.channel}")
        found = frozenset(names)
        if not any(needles for _, needles in signals):
            self._alike[line.type, line.channel] = found
        return found

    def lift(self, line: Line) -> Any:
        """State of a customer of whom one line is known."""
        return self.with_lines(self.empty(), (line,))

    def with_lines(self, state: Any, lines: Iterable[Line]) -> Any:
        """``state`` merged with that of each line, of which only the fields that it speaks of are made."""
        values = list(msgspec.structs.astuple(state))
        for line in lines:
            names = self.signals_of(line)
            for at, lift in self._plans.get(names) or self._plan(names):
                if (value := lift(line, names)) is not None:
                    values[at] = self._mergers[at](values[at], value)
        return self.State(*values)

    def merge(self, a: Any, b: Any) -> Any:
        """Summary of the lines behind ``a`` and those behind ``b``; commutative and associative."""
        pairs = zip(self._mergers, msgspec.structs.astuple(a), msgspec.structs.astuple(b), strict=True)
        return self.State(*[combine(x, y) for combine, x, y in pairs])

    def merge_all(self, states: Iterable[Any]) -> Any:
        """Merge of any number of states; the empty state for none."""
        several = iter(states)
        return functools.reduce(self.merge, several, next(several, self.empty()))

    def encode(self, state: Any) -> bytes:
        """State as MessagePack."""
        return self._encode(state)

    def decode(self, raw: bytes) -> Any:
        """Inverse of :meth:`encode`.

        Raises
        ------
        msgspec.DecodeError
            Bytes that are not a state of this schema.
        """
        return self._decode(raw)

    def _plan(self, names: frozenset[str]) -> tuple[tuple[int, Lifter], ...]:
        """Fields, by their places, that read any of the signals; kept, because lines of one kind share it."""
        plan = tuple((at, lift) for at, reads, lift in self._lifters if not reads.isdisjoint(names))
        return self._plans.setdefault(names, plan)


def _has_all(needles: _Needles, properties: str) -> bool:
    return all(a in properties or b in properties for a, b in needles)


def _python_type(field: Field) -> Any:
    match field:
        case Total():
            return int
        case Extreme():
            return int | None
        case Recent(by=by, sums=sums):
            # As many numbers as the declaration says: a record of another width is refused where it is decoded.
            return GenericAlias(tuple, (GenericAlias(tuple, (int,) * len((*by, *sums))), ...))
        case Last():
            return tuple[int, str, str] | None


def _zero(field: Field) -> Any:
    match field:
        case Total():
            return 0
        case Recent():
            return ()
        case _:
            return None


def _signals_read(field: Field) -> frozenset[str]:
    match field:
        case Recent(sums=sums):
            return frozenset(signal for _, signal, _ in sums)
        case _:
            return frozenset({field.of})


def _lifter(field: Field) -> Lifter:
    """How a field reads a line of one of its signals; None where the line says nothing about it."""
    match field:
        case Total(col=col):
            value = COLUMN_VALUES[col]
            return lambda line, _: value(line)
        case Extreme():
            return lambda line, _: line.occurred_at
        case Recent():
            return functools.partial(_lift_recent, field, [KEY_VALUES[k] for k in field.by])
        case Last(name=name):
            return lambda line, _: last_value(name, line.occurred_at, line.event_id, line.properties)


def _lift_recent(field: Recent, keys: list[Callable[[Line], int | None]], line: Line, names: frozenset[str]) -> Any:
    key = [value(line) for value in keys]
    if None in key:
        return None
    sums = [COLUMN_VALUES[col](line) if signal in names else 0 for _, signal, col in field.sums]
    return ((*key, *sums),)


def last_value(name: str, occurred_at: int, event_id: str, properties: str) -> tuple[int, str, str] | None:
    """What a line says of a declared fact: when, by which event, and the value as text."""
    value = msgspec.json.decode(properties).get(name)
    return None if value is None else (occurred_at, event_id, str(value))


def _merger(field: Field) -> Callable[[Any, Any], Any]:
    match field:
        case Total():
            return operator.add
        case Extreme(last=True) | Last():
            return lambda a, b: b if a is None else a if b is None else max(a, b)
        case Extreme():
            return lambda a, b: b if a is None else a if b is None else min(a, b)
        case Recent():
            return functools.partial(_merge_records, len(field.by), field.keep)


def _merge_records(n_key: int, keep: int, a: tuple[Record, ...], b: tuple[Record, ...]) -> tuple[Record, ...]:
    """Merge two record lists that are sorted by key; equal keys add up, the greatest keys survive."""
    if not b:
        return a
    if len(a) < len(b):
        a, b = b, a
    merged = list(a)
    for record in b:
        _add_record(merged, n_key, record)
    return tuple(merged[-keep:])


def _add_record(records: list[Record], n_key: int, record: Record) -> None:
    key = record[:n_key]
    at = bisect.bisect_left(records, key)  # a key sorts before every record that starts with it
    if at < len(records) and records[at][:n_key] == key:
        records[at] = (*key, *map(operator.add, records[at][n_key:], record[n_key:]))
    else:
        records.insert(at, record)
