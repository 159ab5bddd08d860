"""Rows that moves are learned from: customers at moments, what was known then, and what came next.

There are two kinds of moment: rolling cut-offs, each customer at a time of their own within the step, and visits,
just after something the customer did. Both are chosen by what was known at the moment and never by what came next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.events import DAY_US
from features.journey import FACTS, STAGES
from features.state_table import NEVER
from recommender.move_features import Alive, features_of, has_intent
from training.deeds import SIGNALS, Deeds
from training.split import states_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from features.journey import Journey
    from recommender.contract import LongVector
    from training.load import Data
    from training.moves import Span

N_CUT_OFFS: Final = 16
N_TRAIN: Final = 12_000
N_TEST: Final = 7_000
"""At most so many moments a group of customers, to learn from and to report on."""
MAX_CUSTOMERS: Final = 60_000
"""Of more customers so many are drawn for the cut-offs."""


class Moments(NamedTuple):
    """Cases without their states: ``customer``, ``as_of`` int64, ``is_visit`` bool, shape (n,)."""

    customer: LongVector
    as_of: LongVector
    is_visit: NDArray[np.bool_]

    def take(self, idx: NDArray[np.integer]) -> Moments:
        """Some of the cases."""
        return Moments(self.customer[idx], self.as_of[idx], self.is_visit[idx])


@dataclass(frozen=True)
class Rows:
    """Cases with all that a model of moves sees.

    Attributes
    ----------
    stage : uint8, shape (n,)
        Index into ``STAGES``.
    phase : uint8, shape (n,)
        0, or 1 for a delivered order and for a customer at risk.
    since : int64, shape (n,)
        When the stage began; ``NEVER`` where that is not known.
    has_intent : bool, shape (n,)
        Whether the running stage has seen an intent to buy.
    features : float64, shape (n, len(MOVE_FEATURES))
    next_at : dict of int64 arrays, shape (n,)
        By signal, the first event at or after the moment.
    """

    moments: Moments
    stage: NDArray[np.uint8]
    phase: NDArray[np.uint8]
    since: LongVector
    has_intent: NDArray[np.bool_]
    features: NDArray[np.float64]
    next_at: dict[str, LongVector]

    def __len__(self) -> int:
        return len(self.stage)


def draw_moments(deeds: Deeds, spans: Sequence[Span], journey: Journey, rng: np.random.Generator) -> Moments:
    """Moments to learn from, over all of the spans, and moments to report on, of each span its own.

    Customers with an open order, with an earlier one and with none are drawn alike: few customers of a shop
    have ordered, and most moves start there.
    """
    whole = min(span.start for span in spans), max(span.end for span in spans)
    found = [_drawn(cut_offs(deeds, *whole, N_CUT_OFFS, rng), N_TRAIN, deeds, journey, rng)]
    found.append(_some(visits(deeds, *whole), N_TRAIN, rng))
    for test, end in sorted({(span.test, span.end) for span in spans}):
        found.append(_drawn(cut_offs(deeds, test, end, 1, rng), N_TEST, deeds, journey, rng))
        found.append(_some(visits(deeds, test, end), N_TEST, rng))
    return Moments(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def cut_offs(deeds: Deeds, start: int, end: int, n_cut_offs: int, rng: np.random.Generator) -> Moments:
    """Customers at every cut-off of ``[start, end)`` that follows their first event, each a little off it."""
    customers = np.arange(len(deeds.customer_ids))
    if len(customers) > MAX_CUSTOMERS:
        customers = np.sort(rng.choice(customers, MAX_CUSTOMERS, replace=False))
    step = max(1, (end - start) // n_cut_offs)
    customer = np.repeat(customers, n_cut_offs)
    grid = np.tile(start + step * np.arange(n_cut_offs), len(customers))
    as_of = grid + rng.integers(0, step, len(grid))
    known = deeds.first_at[customer] < as_of
    return Moments(customer[known], as_of[known], np.zeros(int(known.sum()), np.bool_))


def visits(deeds: Deeds, start: int, end: int) -> Moments:
    """The moment after every touch in ``[start, end)``."""
    inside = deeds.is_a["touch"] & (deeds.at + 1 >= start) & (deeds.at + 1 < end)
    return Moments(deeds.customer[inside], deeds.at[inside] + 1, np.ones(int(inside.sum()), np.bool_))


def _drawn(moments: Moments, n: int, deeds: Deeds, journey: Journey, rng: np.random.Generator) -> Moments:
    """At most ``n`` moments each of customers with an open order, with an earlier one and with none."""
    last = deeds.last_at("order", moments.customer, moments.as_of)
    is_open = last > moments.as_of - int(journey.definition.transaction.max_days * DAY_US)
    group = np.where(is_open, 2, np.where(last > 0, 1, 0))
    parts = [_some(moments.take(np.flatnonzero(group == g)), n, rng) for g in range(3)]
    return Moments(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _some(moments: Moments, n: int, rng: np.random.Generator) -> Moments:
    """At most ``n`` of the moments, any of them."""
    if len(moments.as_of) <= n:
        return moments
    return moments.take(np.sort(rng.choice(len(moments.as_of), n, replace=False)))


def rows_of(data: Data, deeds: Deeds, moments: Moments, journey: Journey, model: Alive) -> Rows:
    """States, stages, features and futures of some moments."""
    table = states_of(data, deeds.customer_ids[moments.customer].tolist(), moments.as_of, journey.schema)
    facts = list(zip(table.each(FACTS), moments.as_of.tolist(), strict=True))
    standings = [journey.stage_of(fact, now) for fact, now in facts]
    since = np.array([NEVER if s.since is None else s.since for s in standings], np.int64)
    return Rows(
        moments,
        np.array([STAGES.index(s.stage) for s in standings], np.uint8),
        np.array([s.at_risk or s.phase == "delivered" for s in standings], np.uint8),
        since,
        np.array([has_intent(fact.evidence, s.since) for (fact, _), s in zip(facts, standings, strict=True)], np.bool_),
        features_of(table, moments.as_of, model),
        {name: deeds.next_at(name, moments.customer, moments.as_of) for name in SIGNALS},
    )
