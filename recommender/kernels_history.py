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
    RANKED,
    REAL,
    best_of,
    compiled,
    read_only,
    summed_by_item,
    tuple_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.kernels import BoolVector, FloatVector, IntVector, LongVector

REALS: Final = read_only(types.float64)
CARTS: Final = 3
BUYS: Final = 5
"""Columns of touches."""


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


@compiled(OUT_INTS(INTS, INTS, INTS))
def distinct(a: IntVector, b: IntVector, c: IntVector) -> IntVector:
    """All items of three lists, ascending, each once."""
    items = np.sort(np.concatenate((a, b, c)))
    k = 0
    for i in range(len(items)):
        if i == 0 or items[i] != items[i - 1]:
            items[k] = items[i]
            k += 1
    return items[:k]


@compiled(RANKED(INTS, INTS_2D, BOOLS, COUNT))
def by_recency(
    touch_idx: IntVector, touch_counts: IntVector, allowed: BoolVector, n: int
) -> tuple[IntVector, FloatVector]:
    """The ``n`` best distinct items of some touches, oldest first: one over its place, twice that in the cart."""
    order = np.argsort(touch_idx, kind="mergesort")
    is_newest = np.zeros(len(order), np.bool_)
    for i in range(len(order)):
        is_newest[order[i]] = i + 1 == len(order) or touch_idx[order[i]] != touch_idx[order[i + 1]]
    item_idx, score = np.empty(len(order), np.int32), np.empty(len(order), np.float32)
    m, place = 0, 0
    for i in range(len(touch_idx) - 1, -1, -1):
        if not is_newest[i]:
            continue
        place += 1
        if len(allowed) == 0 or allowed[touch_idx[i]]:
            item_idx[m], score[m] = touch_idx[i], (2 if touch_counts[i, CARTS] > 0 else 1) / place
            m += 1
    return best_of(item_idx[:m], score[:m], n)


@compiled(RANKED(INTS, LONGS, INTS_2D, INTS, INTS, COUNT, FLOATS, REAL, types.float64, FLOATS, BOOLS, COUNT))
def by_frequency(
    touch_idx: IntVector,
    touch_at: LongVector,
    touch_counts: IntVector,
    bought_idx: IntVector,
    bought_day: IntVector,
    now: int,
    touch_weights: FloatVector,
    day_weight: float,
    half_life_days: float,
    lift: FloatVector,
    allowed: BoolVector,
    n: int,
) -> tuple[IntVector, FloatVector]:
    """The ``n`` best distinct items by decayed touches and purchases; see ``recommender.retrievers.own``.

    Parameters
    ----------
    touch_weights : float32, shape (6,)
    day_weight : float
        Of a purchase.
    lift : float32, shape (n_items,)
    """
    n_touches = len(touch_idx)
    item_idx, count = np.empty(n_touches + len(bought_idx), np.int32), np.empty(n_touches + len(bought_idx), np.float32)
    for i in range(len(item_idx)):
        if i < n_touches:
            item_idx[i], weight, age_days = touch_idx[i], 0.0, (now - touch_at[i]) / DAY_US
            for column in range(len(touch_weights)):
                weight += touch_counts[i, column] * touch_weights[column]
        else:
            b = i - n_touches
            item_idx[i], weight, age_days = bought_idx[b], float(day_weight), now / DAY_US - bought_day[b]
        count[i] = weight * 2.0 ** (-max(age_days, 0.0) / half_life_days)
    unique, total = summed_by_item(item_idx, count)
    for i in range(len(unique)):
        total[i] *= lift[unique[i]] * (len(allowed) == 0 or allowed[unique[i]])
    return best_of(unique, total, n)


@compiled(tuple_of((OUT_INTS, types.float64[::1], types.int64))(INTS, INTS, INTS_2D, LONGS, COUNT))
def last_seeds(
    anchors: IntVector, touch_idx: IntVector, touch_counts: IntVector, strength: LongVector, n: int
) -> tuple[IntVector, NDArray[np.float64], int]:
    """The anchors and then the items touched last, each once, at most ``n``; how much was done with each.

    Parameters
    ----------
    touch_idx : int32, shape (m,), oldest first
    strength : int64, shape (6,)
        What a touch of each kind counts.

    Returns
    -------
    seeds : int32, shape (k,)
    done : float64, shape (k,)
        Over all touches.
    n_anchors : int
        How many of the seeds are anchors.
    """
    seeds, done, k = np.empty(n, np.int32), np.zeros(n), 0
    for item in anchors:
        if k < n and not (seeds[:k] == item).any():
            seeds[k] = item
            k += 1
    n_anchors = k
    for i in range(len(touch_idx) - 1, -1, -1):
        at = 0
        while at < k and seeds[at] != touch_idx[i]:
            at += 1
        if at == n:
            continue
        if at == k:
            seeds[k] = touch_idx[i]
            k += 1
        for column in range(len(strength)):
            done[at] += touch_counts[i, column] * strength[column]
    return seeds[:k], done[:k], n_anchors


@compiled(RANKED(INTS, INTS, INTS_2D, LONGS, COUNT, REALS, types.float64, types.float64, types.float64))
def weighed_seeds(
    anchors: IntVector,
    touch_idx: IntVector,
    touch_counts: IntVector,
    strength: LongVector,
    n: int,
    by_place: NDArray[np.float64],
    least: float,
    most: float,
    touched_share: float,
) -> tuple[IntVector, FloatVector]:
    """What :func:`last_seeds` finds, and what each counts, summing to 1.

    Parameters
    ----------
    by_place : float64, shape (n,)
        What a seed counts by its place.
    least, most : float
        Between these lies what was done with a seed; an anchor counts 1.
    touched_share : float
        What all others count where there are anchors.
    """
    seeds, done, n_anchors = last_seeds(anchors, touch_idx, touch_counts, strength, n)
    total = 0.0
    for i in range(len(seeds)):
        done[i] = 1.0 if i < n_anchors else min(max(done[i], least), most) * (touched_share if n_anchors else 1.0)
        done[i] *= by_place[i]
        total += done[i]
    return seeds, (done / max(total, 1e-12)).astype(np.float32)
