"""The candidates of many cases, one below the other: what blends and rankers learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse

from recommender.blend import CONTEXTS, Pool, context_for, pool_of
from recommender.query import is_live, query_of
from recommender.slate import SlateRequest
from training.split import GAINS
from training.spread import spread
from training.touched import leaving_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from features.journey import Standing
    from recommender.contract import FloatMatrix, FloatVector, IntVector, LongVector, Query
    from recommender.engine import Engine
    from training.split import Cases

CUT: Final = 10
MIN_CASES_EACH: Final = 100
"""Cases below which a process of its own does not pay."""
DISCOUNT: Final = 1 / np.log2(np.arange(2, CUT + 2))


@dataclass(frozen=True)
class Pools:
    """Pools of cases under one task.

    Attributes
    ----------
    sources : tuple of str
    item_idx : int32, shape (n_rows,)
        Ascending within a case.
    parts : csr_array of float32, shape (n_rows, n_sources)
        What each source says of each candidate. Most say nothing of most: a tenth is stored.
    level : uint8, shape (n_rows,)
        Relevance, an index into ``GAINS``; 0 for what was not touched.
    bounds : int64, shape (n_cases + 1,)
        Rows of each case.
    ideal : float64, shape (n_cases,)
        Discounted gain of the best order of all targets, proposed or not.
    context : int32, shape (n_cases,)
        Row of ``CONTEXTS``.
    best : float32, shape (n_cases, n_sources)
        Each source's best score.
    queries, standings
        Of each case.
    """

    sources: tuple[str, ...]
    item_idx: IntVector
    parts: sparse.csr_array
    level: NDArray[np.uint8]
    bounds: LongVector
    ideal: NDArray[np.float64]
    context: IntVector
    best: FloatMatrix
    queries: Sequence[Query] = ()
    standings: Sequence[Standing] = ()

    def __len__(self) -> int:
        return len(self.ideal)

    @cached_property
    def gain(self) -> FloatVector:
        """Gain of each row, shape (n_rows,)."""
        return np.array(GAINS, np.float32)[self.level]

    @cached_property
    def speaks(self) -> NDArray[np.bool_]:
        """Whether each source says anything of any candidate, shape (n_sources,)."""
        spoken: NDArray[np.bool_] = self.parts.count_nonzero(axis=0) > 0
        return spoken

    def with_past(self) -> Pools:
        """The cases of customers of whom something was known; all where queries were not kept."""
        if not self.queries:
            return self
        return self.take(np.array([i for i, query in enumerate(self.queries) if query.has_past], np.int64))

    def pool(self, case: int) -> Pool:
        """Candidates of one case."""
        rows = slice(self.bounds[case], self.bounds[case + 1])
        return Pool(self.item_idx[rows], self.parts[rows].toarray(), self.best[case])

    def take(self, cases: NDArray[np.integer]) -> Pools:
        """Some of the cases, in the order given."""
        lengths = np.diff(self.bounds)[cases]
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        rows = np.arange(bounds[-1]) + np.repeat(self.bounds[:-1][cases] - bounds[:-1], lengths)
        return replace(
            self,
            item_idx=self.item_idx[rows],
            parts=self.parts[rows],
            level=self.level[rows],
            bounds=bounds.astype(np.int64),
            ideal=self.ideal[cases],
            context=self.context[cases],
            best=self.best[cases],
            queries=[self.queries[i] for i in cases.tolist()] if self.queries else (),
            standings=[self.standings[i] for i in cases.tolist()] if self.standings else (),
        )

    def of_sources(self, sources: tuple[str, ...]) -> Pools:
        """The same for another list of sources; one that was not asked says nothing."""
        if sources == self.sources:
            return self
        at = [self.sources.index(source) if source in self.sources else len(self.sources) for source in sources]
        silent = sparse.csr_array((self.parts.shape[0], 1), dtype=np.float32)
        parts = sparse.hstack([self.parts, silent], format="csr")[:, at]
        best = np.ascontiguousarray(np.pad(self.best, ((0, 0), (0, 1)))[:, at])
        return replace(self, sources=sources, parts=parts, best=best)


def pools_of(engine: Engine, cases: Cases, *, is_new: bool) -> Pools:
    """Pools of all cases under one task; cases without a target are left out."""
    parts = spread(lambda rows: list(_asked(engine, cases, rows, is_new=is_new)), len(cases), least=MIN_CASES_EACH)
    return _stacked(engine.sources, [case for part in parts for case in part])


def joined(many: Sequence[Pools], sources: tuple[str, ...]) -> Pools:
    """Cases of several engines, for one list of sources."""
    aligned = [pools.of_sources(sources) for pools in many]
    sizes = np.cumsum([0, *(int(pools.bounds[-1]) for pools in aligned)])
    bounds = [pools.bounds[:-1] + size for pools, size in zip(aligned, sizes, strict=False)]
    return Pools(
        sources,
        np.concatenate([pools.item_idx for pools in aligned]),
        sparse.vstack([pools.parts for pools in aligned], format="csr"),
        np.concatenate([pools.level for pools in aligned]),
        np.concatenate([*bounds, sizes[-1:]]).astype(np.int64),
        np.concatenate([pools.ideal for pools in aligned]),
        np.concatenate([pools.context for pools in aligned]),
        np.concatenate([pools.best for pools in aligned]),
        [query for pools in aligned for query in pools.queries],
        [standing for pools in aligned for standing in pools.standings],
    )


class _One(NamedTuple):
    """One case: its candidates, their levels, and the rest as in :class:`Pools`."""

    item_idx: IntVector
    parts: sparse.csr_array
    best: FloatVector
    level: NDArray[np.uint8]
    ideal: float
    context: int
    query: Query
    standing: Standing


def _asked(engine: Engine, cases: Cases, rows: range, *, is_new: bool) -> Iterator[_One]:
    request = SlateRequest(unseen_only=is_new, apply_rules=False)
    for i in rows:
        keep = ~np.isin(cases.targets[i], cases.touched[i]) if is_new else np.ones(len(cases.targets[i]), np.bool_)
        if not keep.any():
            continue
        state, now = cases.states.state(i), int(cases.as_of[i])
        standing = engine.journey.stage_of(state, now)
        asked = leaving_out(request, state, cases.touched[i], engine.items)
        query = query_of(state, asked, engine.items, now, standing.stage)
        pool = pool_of(engine.retrievers, query, len(engine.items))
        level = levels_of(engine.items.item_key[pool.item_idx], cases.targets[i][keep], cases.levels[i][keep])
        context = CONTEXTS.index(context_for(query, standing.stage, live=is_live(state, now)))
        parts = sparse.csr_array(pool.parts)
        yield _One(pool.item_idx, parts, pool.best, level, ideal_of(cases.levels[i][keep]), context, query, standing)


def levels_of(item_keys: LongVector, targets: LongVector, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Relevance of some items; 0 for those that are no target."""
    order = np.argsort(targets)
    at = np.minimum(np.searchsorted(targets, item_keys, sorter=order), len(targets) - 1)
    return np.where(targets[order[at]] == item_keys, levels[order[at]], 0).astype(np.uint8)


def ideal_of(levels: NDArray[np.uint8]) -> float:
    """Discounted gain of targets in their best order."""
    best = np.sort(np.array(GAINS)[levels])[::-1][:CUT]
    return float(best @ DISCOUNT[: len(best)])


def _stacked(sources: tuple[str, ...], cases: Sequence[_One]) -> Pools:
    nothing = sparse.csr_array((0, len(sources)), dtype=np.float32)
    return Pools(
        sources,
        np.concatenate([np.empty(0, np.int32), *(case.item_idx for case in cases)]),
        sparse.vstack([nothing, *(case.parts for case in cases)], format="csr"),
        np.concatenate([np.empty(0, np.uint8), *(case.level for case in cases)]),
        np.cumsum([0, *(len(case.level) for case in cases)], dtype=np.int64),
        np.array([case.ideal for case in cases], np.float64),
        np.array([case.context for case in cases], np.int32),
        np.concatenate([np.empty((0, len(sources)), np.float32), *(case.best[None] for case in cases)]),
        [case.query for case in cases],
        [case.standing for case in cases],
    )
