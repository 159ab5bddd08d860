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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.blend import Pool
    from recommender.engine import Engine
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
    request = SlateRequest(limit=N_RANKED, unseen_only=is_new, apply_rules=False)
    twin, columns = engine.without_stage(), _columns(engine)
    rows = engine.items.rows_of(targets.item_key)
    first = np.searchsorted(targets.case, np.arange(len(cases) + 1))
    ranked = {name: np.full((len(cases), N_RANKED), -1, np.int32) for name in (SYSTEM, TWIN, *columns)}
    in_pool, pool_size = np.zeros(len(rows), np.bool_), np.zeros(len(cases), np.int64)
    for i in np.unique(targets.case[counts]).tolist():
        state, now = cases.states.state(i), int(cases.as_of[i])
        asked = engine.asked(state, request, now)
        own, pool = slice(first[i], first[i + 1]), asked.pool
        in_pool[own], pool_size[i] = np.isin(rows[own], pool.item_idx), len(pool.item_idx)
        _fill(ranked[SYSTEM][i], engine.best(asked, N_RANKED))
        _fill(ranked[TWIN][i], ranked[SYSTEM][i] if twin is engine else twin.best(asked, N_RANKED))
        for name, column in columns.items():
            _fill(ranked[name][i], _alone(pool, column))
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
