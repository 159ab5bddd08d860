"""Compiled loops over a customer's touches: what each item of them weighs, and which came last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import types

from features.events import DAY_US
from recommender.kernels import (
    BOOLS,
    COUNT,
    FLOATS,
    INTS,
    INTS_2D,
    LONGS,
    OUT_FLOATS,
    OUT_INTS,
    compiled,
    summed_by_item,
    tuple_of,
)

if TYPE_CHECKING:
    from recommender.kernels import BoolVector, FloatVector, IntVector, LongVector

BUYS: Final = 5
"""Column of purchases among touches."""


@compiled(tuple_of((OUT_INTS, OUT_FLOATS))(INTS, LONGS, INTS_2D, INTS, INTS, INTS, FLOATS, types.float64))
def weighed(
    touch_idx: IntVector,
    touch_at: LongVector,
    touch_counts: IntVector,
    bought_idx: IntVector,
    bought_day: IntVector,
    bought_n: IntVector,
    touch_weights: FloatVector,
    half_life_days: float,
) -> tuple[IntVector, FloatVector]:
    """Distinct items ascending and their positive weights; see ``recommender.retrievers.history.item_weights``.

    Parameters
    ----------
    touch_idx, touch_at, touch_counts, bought_idx, bought_day, bought_n
        As ``recommender.contract.Query``.
    touch_weights : float32, shape (6,)
    """
    n_touches = len(touch_idx)
    item_idx, weight = np.empty(n_touches + len(bought_idx), np.int32), np.empty(n_touches + len(bought_idx))
    at = np.empty(len(weight))
    m, last = n_touches, 0.0
    for i in range(n_touches):
        item_idx[i], weight[i], at[i] = touch_idx[i], 0, touch_at[i] / DAY_US
        for column in range(len(touch_weights)):
            weight[i] += touch_counts[i, column] * touch_weights[column]
        last = max(last, at[i])
    for i in range(len(bought_idx)):
        if n_touches == 0 or bought_day[i] < touch_at[0] // DAY_US:
            item_idx[m], weight[m], at[m] = bought_idx[i], bought_n[i] * touch_weights[BUYS], bought_day[i]
            last = max(last, at[m])
            m += 1
    for i in range(m):
        weight[i] *= 2.0 ** ((at[i] - last) / half_life_days)
    unique, total = summed_by_item(item_idx[:m], weight[:m].astype(np.float32))
    return unique[total > 0], total[total > 0]


@compiled(OUT_INTS(INTS, INTS, INTS_2D, BOOLS, COUNT, COUNT))
def last_distinct(
    anchors: IntVector, touch_idx: IntVector, touch_counts: IntVector, wanted: BoolVector, n_touches: int, n: int
) -> IntVector:
    """The anchors and then the items touched last in some way, newest first, each once; at most ``n``.

    Parameters
    ----------
    touch_idx : int32, shape (m,), oldest first
    touch_counts : int32, shape (m, 6)
    wanted : bool, shape (6,)
        The touches that count; of those the last ``n_touches`` are looked at.
    """
    found, k, seen = np.empty(n, np.int32), 0, 0
    for item in anchors:
        if k < n and not (found[:k] == item).any():
            found[k] = item
            k += 1
    for i in range(len(touch_idx) - 1, -1, -1):
        times = 0
        for column in range(len(wanted)):
            times += touch_counts[i, column] * wanted[column]
        if times <= 0:
            continue
        if k == n or seen == n_touches:
            break
        seen += 1
        if not (found[:k] == touch_idx[i]).any():
            found[k] = touch_idx[i]
            k += 1
    return found[:k]
