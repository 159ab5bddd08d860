"""The compiled loop behind :class:`recommender.retrievers.category.CategoryPopular`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import types

from recommender.kernels import BOOLS, COUNT, FLOATS, INTS, LONGS, RANKED, best_of, compiled

if TYPE_CHECKING:
    from recommender.kernels import BoolVector, FloatVector, IntVector, LongVector


@compiled(RANKED(INTS, INTS, INTS, LONGS, INTS, FLOATS, BOOLS, COUNT, COUNT, types.float64, COUNT))
def popular_within(
    anchor_idx: IntVector,
    touch_idx: IntVector,
    category: IntVector,
    indptr: LongVector,
    item_idx: IntVector,
    score: FloatVector,
    allowed: BoolVector,
    n_recent: int,
    n_categories: int,
    recency: float,
    n: int,
) -> tuple[IntVector, FloatVector]:
    """The ``n`` best items of the categories that weigh most among the anchors and the last touches.

    Parameters
    ----------
    touch_idx : int32, shape (m,), oldest first
    category : int32, shape (n_items,)
        -1 for none.
    indptr, item_idx, score
        Items of each category, each in one alone, and what they score.
    n_recent, n_categories : int
        How many seeds and how many categories count.
    recency : float
        Weight of a seed over that of the one before it.
    """
    n_seeds = min(n_recent, len(anchor_idx) + len(touch_idx))
    codes, weights, k = np.empty(n_seeds, np.int32), np.zeros(n_seeds), 0
    for i in range(n_seeds):
        seed = anchor_idx[i] if i < len(anchor_idx) else touch_idx[len(touch_idx) - 1 - (i - len(anchor_idx))]
        if category[seed] < 0:
            continue
        at = 0
        while at < k and codes[at] != category[seed]:
            at += 1
        codes[at] = category[seed]
        weights[at] += np.float32(recency**i)
        k = max(k, at + 1)
    by_code = np.argsort(codes[:k], kind="mergesort")
    shares = weights[:k][by_code].astype(np.float32)
    top = by_code[np.argsort(-shares, kind="mergesort")][:n_categories]
    room = 0
    for at in top:
        room += indptr[codes[at] + 1] - indptr[codes[at]]
    found_idx, found, m = np.empty(room, np.int32), np.empty(room, np.float32), 0
    for at in top:
        share = np.float32(weights[at])
        for e in range(indptr[codes[at]], indptr[codes[at] + 1]):
            if len(allowed) == 0 or allowed[item_idx[e]]:
                found_idx[m], found[m] = item_idx[e], score[e] * share
                m += 1
    return best_of(found_idx[:m], found[:m], n)
