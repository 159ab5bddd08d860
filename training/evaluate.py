"""Evaluate: the very code that serves, ranked over the full catalogue, beside simple baselines.

The figures are of the bare ranking (no rules), reminders allowed (task ``any``) and of what the customer
had never touched (task ``new``). Intervals are bootstrapped over customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from recommender.blend import TASKS
from training.beyond import Beyond, Profiles, beyond
from training.judging import BASELINES, N_RANKED, SYSTEM, TWIN, hits_of, lists_of
from training.metrics import METRICS, Interval, mean_intervals
from training.segments import ALL, HISTORY_SIZES, MIN_CASES, segments_of
from training.split import PROTOCOLS
from training.targets import flattened, targets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.engine import Engine
    from training.judging import Lists
    from training.segments import Segment
    from training.split import Cases
    from training.targets import ItemFacts, Targets

__all__ = [
    "BASELINES",
    "HISTORY_SIZES",
    "MIN_CASES",
    "POOL",
    "SYSTEM",
    "TWIN",
    "Evaluation",
    "Row",
    "evaluate",
    "judge",
    "pooled",
]

POOL: Final = "candidates"
"""What any ranking of the proposed items could reach at most."""
POOL_METRICS: Final = ("recall@pool", "n_candidates")
N_BEYOND: Final = 10
"""Ranks of a list that count beyond accuracy: what is likely to be seen."""

Key = tuple[str, str, str]
"""Task, protocol, segment."""
Column = tuple[str, str]
"""System, metric."""


class Row(NamedTuple):
    """One line of an evaluation table.

    ``delta`` is the paired difference to the best baseline of the same segment, by its mean on the same
    cases, which ``best`` names; ``stage_gain`` the paired difference to the same system without the stage.
    All three are of the system's own rows alone.
    """

    task: str
    protocol: str
    slice: str
    system: str
    metric: str
    n_cases: int
    n_customers: int
    value: Interval
    delta: Interval | None = None
    best: str = ""
    stage_gain: Interval | None = None

    @property
    def is_judged(self) -> bool:
        """Whether there are enough cases to say anything by."""
        return self.n_cases >= MIN_CASES


class BeyondRow(NamedTuple):
    """Figures beyond accuracy of the first ranks of one system's lists."""

    task: str
    protocol: str
    slice: str
    system: str
    n_cases: int
    figures: Beyond


class Origin(NamedTuple):
    """A cut-off and the end of what was judged after it, microseconds, and how many cases that gave."""

    start: int
    end: int
    n_cases: int


class Scores(NamedTuple):
    """Values of the cases of one segment: float64, shape (n, n_columns), and whose each is, shape (n,)."""

    values: NDArray[np.float64]
    customer: NDArray[np.str_]


@dataclass(frozen=True)
class Judged:
    """What one engine did on the cases after one origin, before anything is averaged."""

    origin: Origin
    columns: tuple[Column, ...]
    scores: Mapping[Key, Scores]
    beyond: tuple[BeyondRow, ...]


@dataclass(frozen=True)
class Evaluation:
    """All tables of one or more origins; ``start`` and ``end`` in microseconds."""

    start: int
    end: int
    rows: tuple[Row, ...]
    beyond: tuple[BeyondRow, ...] = ()
    origins: tuple[Origin, ...] = ()

    def headline(self) -> dict[str, float]:
        """Mean of every metric over all cases of each task and protocol, for the registry."""
        chosen = (row for row in self.rows if row.slice == ALL and row.system == SYSTEM and row.n_cases)
        return {f"{row.task}/{row.protocol}/{row.metric.replace('@', '_at_')}": row.value.mean for row in chosen}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Both tables as flat records by name, for files."""
        beyond_rows = [dict(zip(row._fields[:-1], row[:-1], strict=True)) | row.figures._asdict() for row in self.beyond]
        return {"evaluation": [_record(row) for row in self.rows], "beyond": beyond_rows}


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


def pooled(judged: Sequence[Judged]) -> Evaluation:
    """One evaluation over all origins; systems that are not there at every origin are left out."""
    columns = [column for column in judged[0].columns if all(column in one.columns for one in judged)]
    rows = [row for key in judged[0].scores for row in _table(key, columns, _joined(judged, key, columns))]
    origins = tuple(one.origin for one in judged)
    return Evaluation(origins[0].start, origins[-1].end, tuple(rows), _mean_beyond(judged), origins)


class _Judge:
    """Lists of one task against what was to be found."""

    def __init__(
        self, engine: Engine, cases: Cases, targets: Targets, counts: NDArray[np.bool_], lists: Lists
    ) -> None:
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

    def _metrics(
        self, counts: NDArray[np.bool_], n_targets: NDArray[np.integer]
    ) -> Iterator[NDArray[np.float64]]:
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
        case, item_key = flattened([self._cases.touched[i] for i in np.flatnonzero(keep)])
        rows = self._engine.items.rows_of(item_key)
        return Profiles(case[rows >= 0], rows[rows >= 0])


def _columns(lists: Lists) -> tuple[Column, ...]:
    return (*((system, metric) for system in lists.ranked for metric in METRICS), *((POOL, metric) for metric in POOL_METRICS))


def _joined(judged: Sequence[Judged], key: Key, columns: Sequence[Column]) -> Scores:
    """Values of one segment over all origins, in the order of ``columns``."""
    values = [one.scores[key].values[:, [one.columns.index(column) for column in columns]] for one in judged]
    return Scores(np.concatenate(values), np.concatenate([one.scores[key].customer for one in judged]))


def _table(key: Key, columns: Sequence[Column], scores: Scores) -> Iterator[Row]:
    """Rows of one segment; differences are paired with the values, and drawn with them."""
    _, customer = np.unique(scores.customer, return_inverse=True)
    values, best = scores.values, _best(scores.values, columns)
    own = {metric: columns.index((SYSTEM, metric)) for metric in METRICS}
    deltas = [values[:, own[m]] - (values[:, columns.index((best[m], m))] if m in best else np.nan) for m in METRICS]
    gains = [values[:, own[m]] - values[:, columns.index((TWIN, m))] for m in METRICS]
    found = mean_intervals(np.column_stack([values, *deltas, *gains]), customer)
    n_cases, n_customers = len(values), len(np.unique(customer))
    delta = dict(zip(METRICS, found[len(columns) :], strict=False))
    gain = dict(zip(METRICS, found[len(columns) + len(METRICS) :], strict=True))
    for (system, metric), value in zip(columns, found, strict=False):
        row = Row(*key, system, metric, n_cases, n_customers, value)
        if system == SYSTEM:
            row = row._replace(
                delta=delta[metric] if metric in best else None, best=best.get(metric, ""), stage_gain=gain[metric]
            )
        yield row


def _best(values: NDArray[np.float64], columns: Sequence[Column]) -> dict[str, str]:
    """The baseline of the greatest mean by metric; the first of equals."""
    best: dict[str, str] = {}
    for metric in METRICS:
        sums = {system: values[:, at].sum() for at, (system, m) in enumerate(columns) if m == metric}
        baselines = [system for system in sums if system in BASELINES]
        if baselines:
            best[metric] = max(baselines, key=sums.__getitem__)
    return best


def _mean_beyond(judged: Sequence[Judged]) -> tuple[BeyondRow, ...]:
    """Means over the origins, each counting as many times as it has cases."""
    rows: dict[tuple[str, ...], list[BeyondRow]] = {}
    for one in judged:
        for row in one.beyond:
            rows.setdefault(row[:4], []).append(row)
    return tuple(_mean_row(found) for found in rows.values())


def _mean_row(found: Sequence[BeyondRow]) -> BeyondRow:
    n = np.array([row.n_cases for row in found], np.float64)
    figures = np.array([row.figures for row in found], np.float64)
    weight = n[:, None] * ~np.isnan(figures)
    total = weight.sum(axis=0)
    mean = np.divide((np.nan_to_num(figures) * weight).sum(axis=0), total, out=np.full(7, np.nan), where=total > 0)
    return found[0]._replace(n_cases=int(n.sum()), figures=Beyond(*mean.tolist()))


def _record(row: Row) -> dict[str, Any]:
    names = ("task", "protocol", "slice", "system", "metric", "n_cases", "n_customers", "best")
    record: dict[str, Any] = {name: getattr(row, name) for name in names}
    for prefix, interval in (("", row.value), ("delta_", row.delta), ("stage_gain_", row.stage_gain)):
        record |= {f"{prefix}{name}": None if interval is None else getattr(interval, name) for name in Interval._fields}
    return record
