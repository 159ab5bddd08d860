"""Evaluate: the very code that serves, ranked over the full catalogue, beside simple baselines.

The figures are of the bare ranking (no rules), reminders allowed (task ``any``) and of what the customer
had never touched (task ``new``). Intervals are bootstrapped over customers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from recommender.blend import TASKS
from training.beyond import Profiles, beyond
from training.evaluation import BeyondRow, Origin
from training.judging import hits_of, lists_of
from training.metrics import METRICS
from training.pooling import Judged, Scores, pooled
from training.segments import ALL, segments_of
from training.split import PROTOCOLS
from training.targets import flattened, targets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from recommender.engine import Engine
    from training.evaluation import Evaluation
    from training.judging import Lists
    from training.pooling import Column, Key
    from training.segments import Segment
    from training.split import Cases
    from training.targets import ItemFacts, Targets

POOL: Final = "candidates"
"""What any ranking of the proposed items could reach at most."""
POOL_METRICS: Final = ("recall@pool", "n_candidates")
N_BEYOND: Final = 10
"""Ranks of a list that count beyond accuracy: what is likely to be seen."""


def evaluate(
    engine: Engine,
    cases: Cases,
    facts: ItemFacts,
    start: int,
    end: int,
    *,
    progress: Callable[[float], None] | None = None,
) -> Evaluation:
    """Tables of one engine on the cases of ``[start, end)``."""
    return pooled([judge(engine, cases, facts, start, end, progress=progress)])


def judge(
    engine: Engine,
    cases: Cases,
    facts: ItemFacts,
    start: int,
    end: int,
    *,
    progress: Callable[[float], None] | None = None,
) -> Judged:
    """Every case's figures, by task, protocol and segment."""
    targets = targets_of(cases, facts)
    segments = list(segments_of(engine, cases, targets))
    scores: dict[Key, Scores] = {}
    rows: list[BeyondRow] = []
    columns: tuple[Column, ...] = ()
    for number, task in enumerate(TASKS):
        counts = ~targets.is_touched if task == "new" else np.ones(len(targets.case), np.bool_)
        lists = lists_of(engine, cases, targets, counts, is_new=task == "new")
        columns = _columns(lists)
        judged = _Judge(engine, cases, targets, counts, lists)
        for segment in segments:
            scores |= {(task, protocol, segment.name): found for protocol, found in judged.scores(segment)}
        rows += judged.beyond(task, facts, segments)
        if progress:
            progress((number + 1) / len(TASKS))
    return Judged(Origin(start, end, len(cases)), columns, scores, tuple(rows))


class _Judge:
    """Lists of one task against what was to be found."""

    def __init__(self, engine: Engine, cases: Cases, targets: Targets, counts: NDArray[np.bool_], lists: Lists) -> None:
        self._engine, self._cases, self._targets, self._counts, self._lists = engine, cases, targets, counts, lists
        self._rows = engine.items.rows_of(targets.item_key)
        self._customer = np.array(cases.customer_ids, np.str_)

    def scores(self, segment: Segment) -> Iterator[tuple[str, Scores]]:
        """Values of the segment's cases by protocol."""
        counts = self._counts & segment.targets
        n_targets = np.bincount(self._targets.case[counts], minlength=len(self._cases))
        ceiling = (self._pool_recall(counts, n_targets), self._lists.pool_size)
        values = np.column_stack([*self._metrics(counts, n_targets), *ceiling])
        for protocol, keep in self._kept(segment, n_targets > 0):
            yield protocol, Scores(values[keep], self._customer[keep])

    def beyond(self, task: str, facts: ItemFacts, segments: Sequence[Segment]) -> Iterator[BeyondRow]:
        """Figures beyond accuracy of all cases, and of each stage's."""
        n_targets = np.bincount(self._targets.case[self._counts], minlength=len(self._cases))
        items = self._engine.items
        n_customers_of = facts.n_customers_of[facts.rows_of(items.item_key)]
        for segment in [one for one in segments if one.name == ALL or one.name.startswith("stage: ")]:
            for protocol, keep in self._kept(segment, n_targets > 0):
                past = self._profiles(keep)
                for system, ranked in self._lists.ranked.items():
                    shown = ranked[keep, :N_BEYOND]
                    found = beyond(shown, past, items.category, n_customers_of, facts.n_customers)
                    yield BeyondRow(task, protocol, segment.name, system, len(shown), found)

    def _metrics(self, counts: NDArray[np.bool_], n_targets: NDArray[np.integer]) -> Iterator[NDArray[np.float64]]:
        for ranked in self._lists.ranked.values():
            hits = hits_of(ranked, self._targets, self._rows, counts)
            yield from (metric(hits, n_targets) for metric in METRICS.values())

    def _pool_recall(self, counts: NDArray[np.bool_], n_targets: NDArray[np.integer]) -> NDArray[np.float64]:
        found = np.bincount(self._targets.case[counts & self._lists.in_pool], minlength=len(n_targets))
        share: NDArray[np.float64] = found / np.maximum(1, n_targets)
        return share

    def _kept(self, segment: Segment, is_case: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        for code, name in enumerate(PROTOCOLS):
            yield name, segment.cases & is_case & (self._cases.protocol == code)

    def _profiles(self, keep: NDArray[np.bool_]) -> Profiles:
        """What some cases had touched, as far as the engine knows it."""
        case, item_key = flattened([self._cases.touched[i] for i in np.flatnonzero(keep).tolist()])
        rows = self._engine.items.rows_of(item_key)
        return Profiles(case[rows >= 0], rows[rows >= 0])


def _columns(lists: Lists) -> tuple[Column, ...]:
    return (
        *((system, metric) for system in lists.ranked for metric in METRICS),
        *((POOL, metric) for metric in POOL_METRICS),
    )
