"""Judging: the lists of every system for every case, over the full catalogue, and where they hit.

The system and the same without its stage decide as they do when they serve; a baseline is one source alone,
read from the pool of candidates that all of them share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from recommender.compose import in_order
from recommender.slate import SlateRequest
from training.pools import MIN_CASES_EACH
from training.spread import spread
from training.touched import leaving_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.blend import Pool
    from recommender.engine import Asked, Engine
    from training.split import Cases
    from training.targets import Targets

N_RANKED: Final = 20
SYSTEM: Final = "rihla"
TWIN: Final = "stage removed"
"""The same system, blind to the stage."""
BASELINES: Final[Mapping[str, str]] = {
    "decayed popularity": "popular",
    "item-kNN": "cosine",
    "RP3beta": "rp3beta",
    "EASE": "ease",
    "VSTAN": "vstan",
    "ALS": "als",
    "own frequency": "frequent",
    "last viewed": "recent",
    "co-visits": "viewed_next",
}
"""Name of a baseline → the source that it is alone. They are fitted and tuned as ours are."""


@dataclass(frozen=True)
class Lists:
    """Lists of one task.

    Attributes
    ----------
    ranked : int32 arrays of shape (n_cases, N_RANKED) by system
        Rows of the engine's items, -1 where a list has ended or nothing was asked.
    in_pool : bool, shape (n_targets,)
        Whether any source proposed the target.
    pool_size : int64, shape (n_cases,)
    """

    ranked: Mapping[str, NDArray[np.int32]]
    in_pool: NDArray[np.bool_]
    pool_size: NDArray[np.int64]


def lists_of(engine: Engine, cases: Cases, targets: Targets, counts: NDArray[np.bool_], *, is_new: bool) -> Lists:
    """Lists of every system for the cases that have a target which counts.

    Parameters
    ----------
    counts : bool, shape (n_targets,)
    """
    lister = _Lister(engine, cases, targets, counts, is_new=is_new)
    return _joined(spread(lister.lists, len(cases), least=MIN_CASES_EACH))


class _Lister:
    """What the lists of every case of one task are made from."""

    def __init__(
        self, engine: Engine, cases: Cases, targets: Targets, counts: NDArray[np.bool_], *, is_new: bool
    ) -> None:
        self._engine, self._twin, self._cases = engine, engine.without_stage(), cases
        self._columns = _columns(engine)
        self._request = SlateRequest(limit=N_RANKED, unseen_only=is_new, apply_rules=False)
        self._rows = engine.items.rows_of(targets.item_key)
        self._first = np.searchsorted(targets.case, np.arange(len(cases) + 1))
        self._is_asked = np.bincount(targets.case[counts], minlength=len(cases)) > 0

    def lists(self, part: range) -> Lists:
        """Lists of consecutive cases."""
        ranked = {name: np.full((len(part), N_RANKED), -1, np.int32) for name in (SYSTEM, TWIN, *self._columns)}
        start = self._first[part.start]
        found = Lists(ranked, np.zeros(self._first[part.stop] - start, np.bool_), np.zeros(len(part), np.int64))
        for at, case in enumerate(part):
            if self._is_asked[case]:
                asked = self._asked(case)
                own = slice(self._first[case], self._first[case + 1])
                found.in_pool[own.start - start : own.stop - start] = np.isin(self._rows[own], asked.pool.item_idx)
                found.pool_size[at] = len(asked.pool.item_idx)
                self._rank(asked, {name: rows[at] for name, rows in ranked.items()})
        return found

    def _asked(self, case: int) -> Asked:
        state, engine = self._cases.states.state(case), self._engine
        request = leaving_out(self._request, state, self._cases.touched[case], engine.items)
        return engine.asked(state, request, int(self._cases.as_of[case]))

    def _rank(self, asked: Asked, into: Mapping[str, NDArray[np.int32]]) -> None:
        _fill(into[SYSTEM], self._engine.best(asked, N_RANKED))
        _fill(into[TWIN], into[SYSTEM] if self._twin is self._engine else self._twin.best(asked, N_RANKED))
        for name, column in self._columns.items():
            _fill(into[name], _alone(asked.pool, column))


def _joined(parts: Sequence[Lists]) -> Lists:
    """Lists of consecutive cases as one."""
    ranked = {name: np.concatenate([part.ranked[name] for part in parts]) for name in parts[0].ranked}
    in_pool, pool_size = (
        np.concatenate(column) for column in zip(*((p.in_pool, p.pool_size) for p in parts), strict=True)
    )
    return Lists(ranked, in_pool, pool_size)


def hits_of(
    ranked: NDArray[np.int32], targets: Targets, rows: NDArray[np.int32], counts: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether the item at each rank is a target that counts, shape (n_cases, n).

    Parameters
    ----------
    rows : int32, shape (n_targets,)
        Targets as rows of the engine's items; -1 for one that it does not know.
    """
    known = counts & (rows >= 0)
    width = int(max(ranked.max(initial=0), rows.max(initial=0))) + 1
    wanted = targets.case[known] * width + rows[known]
    shown = np.arange(len(ranked))[:, None] * width + ranked
    return np.asarray(np.isin(shown, wanted) & (ranked >= 0))


def _columns(engine: Engine) -> dict[str, int]:
    """Column of the pool that each baseline is."""
    return {name: engine.sources.index(source) for name, source in BASELINES.items() if source in engine.sources}


def _alone(pool: Pool, column: int) -> NDArray[np.int32]:
    """The best of one source, as a blend of it alone would rank them."""
    score = pool.parts[:, column]
    item_idx, score = pool.item_idx[score > 0], score[score > 0]
    return item_idx[in_order(score, item_idx, N_RANKED)]


def _fill(row: NDArray[np.int32], found: NDArray[np.int32]) -> None:
    row[: len(found)] = found
