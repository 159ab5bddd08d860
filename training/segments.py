"""Segments: the parts of an evaluation that are reported apart, by customer and by what was to be found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.journey import STAGES
from recommender.items import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from recommender.engine import Engine
    from training.split import Cases
    from training.targets import Targets

MIN_CASES: Final = 200
"""Segments of fewer cases are shown and not judged."""
COLD_EVENTS: Final = 2
"""A customer of at most so many touches is cold."""
ALL: Final = "all"
HISTORY_SIZES: Final = (("0", 0, 0), ("1", 1, 1), ("2-4", 2, 4), ("5+", 5, 1 << 62))


class Segment(NamedTuple):
    """``cases`` bool, shape (n_cases,): whose; ``targets`` bool, shape (n_targets,): which of the targets count."""

    name: str
    cases: NDArray[np.bool_]
    targets: NDArray[np.bool_]


class SeenPolicy(NamedTuple):
    """Whether items that the customer has touched may be shown, and by what a stage is judged first.

    ``task`` is ``any`` where they may, ``new`` where they may not; both are always reported.
    """

    stage: str
    task: str
    metric: str
    why: str


SEEN_POLICY: Final = (
    SeenPolicy("awareness", "new", "hit_rate@20", "there is little to come back to; breadth is what helps"),
    SeenPolicy("engagement", "any", "ndcg@10", "comparing means coming back; a reminder is a good answer"),
    SeenPolicy("transaction", "new", "mrr@20", "what was just bought is no longer wanted; what goes with it is"),
    SeenPolicy("retention", "any", "recall@20", "what is used up is bought again"),
)
"""What counts first in each stage. Every system of a table is held to the same."""


def segments_of(engine: Engine, cases: Cases, targets: Targets) -> Iterator[Segment]:
    """All segments, the whole first."""
    everyone, everything = np.ones(len(cases), np.bool_), np.ones(len(targets.case), np.bool_)
    yield Segment(ALL, everyone, everything)
    stage = stages_of(engine, cases)
    for known in STAGES:
        yield Segment(f"stage: {known}", stage == known, everything)
    n_touch = cases.states.total("n_touch")
    for name, low, high in HISTORY_SIZES:
        yield Segment(f"history: {name}", (n_touch >= low) & (n_touch <= high), everything)
    yield Segment("customers: cold", n_touch <= COLD_EVENTS, everything)
    yield Segment("customers: warm", n_touch > COLD_EVENTS, everything)
    yield Segment("targets: repeat", everyone, targets.is_touched)
    yield Segment("targets: explore", everyone, ~targets.is_touched)
    yield Segment("items: cold", everyone, targets.is_cold)
    yield Segment("items: warm", everyone, ~targets.is_cold)
    for code, name in enumerate(KINDS):
        yield Segment(f"kind: {name}", everyone, targets.kind == code)


def stages_of(engine: Engine, cases: Cases) -> NDArray[np.str_]:
    """Stage of each case, shape (n_cases,)."""
    journey = engine.journey
    return np.array(
        [journey.stage_of(cases.states.state(i), int(cases.as_of[i])).stage for i in range(len(cases))], np.str_
    )
