"""Neighbours for ``recommender/retrievers/tifu.py``: baskets of the latest customers as rows without ids."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from features.events import DAY_US
from recommender.kernels_repeat import basket_vector
from recommender.retrievers.tifu import TifuParams
from training.fitting.baskets import Baskets, baskets_of
from training.fitting.graphs import best_of_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector, IntVector, LongVector
    from training.touches import Touches

__all__ = ["MAX_DAYS", "MAX_ROWS", "TIFU_GRID", "TifuParams", "fit_tifu"]

MAX_ROWS: Final = 20_000
"""Customers who bought last are kept."""
MAX_ROWS_OF_ITEM: Final = 500
"""An item lists the rows in which it weighs most; what is in every basket tells neighbours apart least."""
MAX_DAYS: Final = 400
"""Purchases longer ago are left out."""
MIN_ITEMS: Final = 2

TIFU_GRID: Final = (
    TifuParams(),
    TifuParams(alpha=0.3),
    TifuParams(between=0.9),
    TifuParams(group_size=3, between=0.8),
    TifuParams(group_size=3, between=0.6),
    TifuParams(group_size=7, within=0.9, between=0.7),
)
"""The last one is near what the paper prefers on its four data sets, whose k of 300 and more costs too much online."""


def fit_tifu(touches: Touches, n_items: int, params: TifuParams) -> dict[str, NDArray[np.generic]]:
    """Vectors of the customers who bought last; empty where nobody bought two items."""
    baskets = baskets_of(touches)
    baskets = baskets.where(baskets.day >= touches.until // DAY_US - MAX_DAYS)
    bounds = baskets.bounds(len(touches.customer_ids))
    vectors = [_vector(baskets, rows, params) for rows in _latest(baskets, bounds)]
    vectors = [(item_idx, weight) for item_idx, weight in vectors if len(item_idx) >= MIN_ITEMS]
    if not vectors:
        return {}
    item_idx, weight = (np.concatenate(column) for column in zip(*vectors, strict=True))
    indptr = np.cumsum([0, *(len(items) for items, _ in vectors)])
    by_item = best_of_rows(
        sparse.csr_matrix((weight, item_idx, indptr), (len(vectors), n_items)).T.tocsr(), MAX_ROWS_OF_ITEM
    )
    return {
        "tifu.indptr": by_item.indptr.astype(np.int64),
        "tifu.row": by_item.indices.astype(np.int32),
        "tifu.weight": by_item.data.astype(np.float32),
        "tifu.rows.indptr": indptr.astype(np.int64),
        "tifu.rows.item_idx": item_idx.astype(np.int32),
        "tifu.rows.weight": weight.astype(np.float32),
        "tifu.params": np.array(params, np.float32),
    }


def _vector(baskets: Baskets, rows: tuple[int, int], params: TifuParams) -> tuple[IntVector, FloatVector]:
    own = slice(*rows)
    _, group_size, within, between, _ = params
    return basket_vector(baskets.item_idx[own], baskets.day[own], group_size, within, between)


def _latest(baskets: Baskets, bounds: LongVector) -> list[tuple[int, int]]:
    """First and last row of each customer who may be a neighbour, in an order that says nothing of who they are.

    Rows are sorted by the last day, and of one day by what was bought first and last.
    """
    spans = [(a, b) for a, b in itertools.pairwise(bounds.tolist()) if b - a >= MIN_ITEMS]
    key = [(-int(baskets.day[b - 1]), a - b, int(baskets.item_idx[a]), int(baskets.item_idx[b - 1])) for a, b in spans]
    return [spans[i] for i in sorted(range(len(spans)), key=key.__getitem__)[:MAX_ROWS]]
