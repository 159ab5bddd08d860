"""The journey definition: which stage a customer stands in, by predicates and thresholds in TOML.

A stage is a definition, not an observation. ``journey.toml`` beside this module holds the defaults; a
shop's own file overrides any of it. :meth:`Journey.stage_of` is a pure function of the customer state and
the clock, and says when the clock alone will change its answer.

In the order in which they are asked:

* transaction   an order that is neither voided nor over; phase ``fulfilment``, then ``delivered``
* retention     a customer between orders; at risk after a long silence
* engagement    no order that stands, and enough evidence within one spell
* awareness     everybody else

A time at which something ends no longer belongs to it: every spell is closed at its start and open at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from features.events import DAY_US
from features.journey_file import Definition, PredicateTable, definition_of, read_definition
from features.state import Schema
from features.state_fields import JOURNEY_SIGNALS, Predicate, Signal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Stage = Literal["awareness", "engagement", "transaction", "retention"]
STAGES: Final[tuple[Stage, ...]] = ("awareness", "engagement", "transaction", "retention")
FACTS: Final = (
    *("n_order", "n_cancelled", "last_order", "last_fulfilled", "last_cancelled"),
    *("first_touch", "last_touch", "evidence"),
)
"""The fields of a state that a stage depends on."""


class Standing(NamedTuple):
    """Where a customer stands. Times are microseconds since 1970 UTC.

    ``phase`` is set in transaction only, ``at_risk`` in retention only. ``since`` is when the stage began,
    as far as the state can tell; None when nothing is known of the customer. ``changes_at`` is the next
    moment at which stage, phase or ``at_risk`` changes by the clock alone; None when they never will.
    """

    stage: Stage
    phase: Literal["fulfilment", "delivered"] | None
    at_risk: bool
    since: int | None
    changes_at: int | None


class _Spell(NamedTuple):
    """Evidence without a gap as long as the time to live, and since when it was enough; None when it is not."""

    ends_at: int
    enough_at: int | None


class Journey:
    """A journey definition in force.

    Attributes
    ----------
    version : str
    digest : str
        Of the merged definition; two definitions with the same digest give every customer the same stage.
    schema : Schema
        The customer state that counts this definition's signals.
    mix : mapping of str to tuple of float
        By stage the shares of product, content and action that a slate is made of.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.version = definition.version
        self.digest = definition.digest
        self.schema = Schema({name: _signal(getattr(definition.signals, name)) for name in JOURNEY_SIGNALS})
        self.mix: Mapping[str, tuple[float, float, float]] = {
            stage: getattr(definition.mix, stage).shares for stage in STAGES
        }
        self._min_interest = definition.engagement.min_interest
        self._ttl_us = _to_us(definition.engagement.ttl_days)
        self._order_us = _to_us(definition.transaction.max_days)
        self._fulfilled_us = _to_us(definition.transaction.after_fulfilled_days)
        self._risk_us = _to_us(definition.retention.at_risk_after_days)

    @classmethod
    def load(cls, path: Path | None = None) -> Journey:
        """The defaults, overridden by a shop's own file.

        Raises
        ------
        InvalidJourney
            The message names the key and says what is allowed.
        """
        return cls(read_definition(path))

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Journey:
        """Inverse of :meth:`to_document`; errors as :meth:`load`."""
        return cls(definition_of(document))

    def to_document(self) -> dict[str, Any]:
        """The whole merged definition as plain JSON."""
        document: dict[str, Any] = msgspec.to_builtins(self.definition)
        return document

    def stage_of(self, state: Any, now: int) -> Standing:
        """Where a customer stands at ``now``, given what happened before it.

        Parameters
        ----------
        state
            A state of :attr:`schema`, or anything with the attributes ``FACTS``.
        now : int
            Microseconds since 1970 UTC.

        Notes
        -----
        A cancellation voids the last order before it. A fulfilment that precedes the last order belonged to
        an earlier one; of those that do not, the last counts.
        """
        if state.last_order is None:
            return self._before_order(state, now)
        ends_at = self._order_ends_at(state)
        if state.last_cancelled is not None and state.last_cancelled >= state.last_order:
            if state.n_order <= state.n_cancelled:
                return self._before_order(state, now)
            return self._between_orders(state, now, min(ends_at, state.last_cancelled))
        if now < ends_at:
            is_delivered = _is_delivered(state)
            return Standing(
                "transaction", "delivered" if is_delivered else "fulfilment", False, state.last_order, ends_at
            )
        return self._between_orders(state, now, ends_at)

    def _order_ends_at(self, state: Any) -> int:
        ends_at: int = state.last_order + self._order_us
        return min(ends_at, state.last_fulfilled + self._fulfilled_us) if _is_delivered(state) else ends_at

    def _between_orders(self, state: Any, now: int, since: int) -> Standing:
        last_touch = state.last_order if state.last_touch is None else max(state.last_touch, state.last_order)
        risk_at: int = last_touch + self._risk_us
        if now >= risk_at:
            return Standing("retention", None, True, since, None)
        return Standing("retention", None, False, since, risk_at)

    def _before_order(self, state: Any, now: int) -> Standing:
        """Stage of somebody without an order that stands; not before the cancellation of one that did."""
        voided_at = None if state.last_order is None else state.last_cancelled
        spell = self._last_spell_that_was_enough(state.evidence)
        if spell is None:
            since = state.first_touch if voided_at is None else voided_at
            return Standing("awareness", None, False, since, None)
        if now < spell.ends_at:
            return Standing("engagement", None, False, _latest(spell.enough_at, voided_at), spell.ends_at)
        return Standing("awareness", None, False, _latest(spell.ends_at, voided_at), None)

    def _last_spell_that_was_enough(self, evidence: Sequence[tuple[int, ...]]) -> _Spell | None:
        stop = len(evidence)
        while stop:
            start = self._start_of_spell(evidence, stop)
            enough_at = self._enough_at(evidence[start:stop])
            if enough_at is not None:
                return _Spell(evidence[stop - 1][0] + self._ttl_us, enough_at)
            stop = start
        return None

    def _start_of_spell(self, evidence: Sequence[tuple[int, ...]], stop: int) -> int:
        start = stop - 1
        while start and evidence[start][0] - evidence[start - 1][0] < self._ttl_us:
            start -= 1
        return start

    def _enough_at(self, spell: Sequence[tuple[int, ...]]) -> int | None:
        total = 0
        for at, interest, intent in spell:
            total += interest
            if intent or total >= self._min_interest:
                return at
        return None


def _is_delivered(state: Any) -> bool:
    return state.last_fulfilled is not None and state.last_fulfilled >= state.last_order


def _latest(at: int | None, voided_at: int | None) -> int | None:
    return at if voided_at is None or at is None else max(at, voided_at)


def _signal(tables: list[PredicateTable]) -> Signal:
    return Signal(tuple(Predicate(table.types, tuple(sorted(table.where.items()))) for table in tables))


def _to_us(days: float) -> int:
    return round(days * DAY_US)
