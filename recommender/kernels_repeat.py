"""Compiled loops over purchases: what a customer owns, the vector of their baskets, and what its neighbours hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recommender.kernels import (
    BOOLS,
    COUNT,
    EVERYTHING,
    FLOATS,
    INTS,
    LONGS,
    OUT_INTS,
    RANKED,
    REAL,
    best_of,
    best_of_all,
    compiled,
    tuple_of,
)

if TYPE_CHECKING:
    from recommender.kernels import BoolVector, FloatVector, IntVector, LongVector

MAX_VECTOR_ITEMS: Final = 60
"""A customer's vector keeps so many of its greatest items."""
OWNED: Final[Any] = tuple_of((OUT_INTS, OUT_INTS, OUT_INTS, OUT_INTS))


@compiled(OWNED(INTS, INTS))
def owned(item_idx: IntVector, day: IntVector) -> tuple[IntVector, IntVector, IntVector, IntVector]:
    """Distinct items of some purchases, ascending: on how many days each was bought, the first and the last.

    Parameters
    ----------
    item_idx, day : int32, shape (m,), oldest first

    Returns
    -------
    item_idx, n_days, first_day, last_day : int32, shape (k,)
    """
    m = len(item_idx)
    item, times = np.empty(m, np.int32), np.empty(m, np.int32)
    first, last = np.empty(m, np.int32), np.empty(m, np.int32)
    k = -1
    for at in np.argsort(item_idx, kind="mergesort"):
        if k < 0 or item[k] != item_idx[at]:
            k += 1
            item[k], times[k], first[k], last[k] = item_idx[at], 1, day[at], day[at]
        elif last[k] != day[at]:
            times[k] += 1
            last[k] = day[at]
    return item[: k + 1], times[: k + 1], first[: k + 1], last[: k + 1]


@compiled(RANKED(INTS, INTS, COUNT, REAL, REAL))
def basket_vector(
    item_idx: IntVector, day: IntVector, group_size: int, within: float, between: float
) -> tuple[IntVector, FloatVector]:
    """A customer's baskets as one vector of length 1: its greatest items, best first, and their weights.

    A basket is a day. From the newest on, ``group_size`` baskets make a group: the j-th newest basket of
    the g-th newest group counts ``between^g * within^j / baskets of the group``. Hu et al. 2020, eq. 1-3.

    Parameters
    ----------
    item_idx, day : int32, shape (m,), oldest first
    within, between : float
        Decays, in (0, 1].
    """
    m = len(day)
    counts = np.empty(m, np.float32)
    place = np.zeros(m, np.int64)
    for i in range(m - 2, -1, -1):
        place[i] = place[i + 1] + (day[i] != day[i + 1])
    for i in range(m):
        group = place[i] // group_size
        size = min(group_size, place[0] + 1 - group * group_size)
        counts[i] = between**group * within ** (place[i] - group * group_size) / size
    item, total = np.empty(m, np.int32), np.zeros(m, np.float32)
    k, before = -1, np.int32(0)
    for at in np.argsort(item_idx, kind="mergesort"):
        if k < 0 or item[k] != item_idx[at]:
            k += 1
            item[k] = item_idx[at]
        elif before == day[at]:
            continue
        total[k] += counts[at]
        before = day[at]
    kept, weight = best_of(item[: k + 1], total[: k + 1], MAX_VECTOR_ITEMS)
    return kept, weight / np.sqrt((weight * weight).sum())


@compiled(RANKED(INTS, FLOATS, LONGS, INTS, FLOATS, COUNT, COUNT))
def nearest_rows(
    own_idx: IntVector,
    own: FloatVector,
    indptr: LongVector,
    row: IntVector,
    weight: FloatVector,
    n_rows: int,
    k: int,
) -> tuple[IntVector, FloatVector]:
    """The ``k`` rows that are most like a vector, and their cosines.

    All vectors have length 1, so the cosine orders rows as Euclid's distance does.

    Parameters
    ----------
    own_idx, own : int32 and float32, shape (m,)
    indptr, row, weight
        Rows of each item, and what the item weighs in each.
    """
    cosine = np.zeros(n_rows, np.float32)
    for i in range(len(own_idx)):
        for e in range(indptr[own_idx[i]], indptr[own_idx[i] + 1]):
            cosine[row[e]] += own[i] * weight[e]
    return best_of_all(cosine, EVERYTHING, k)


@compiled(RANKED(INTS, FLOATS, INTS, FLOATS, LONGS, INTS, FLOATS, BOOLS, COUNT, COUNT))
def voted_by_rows(
    own_idx: IntVector,
    own: FloatVector,
    near: IntVector,
    share: FloatVector,
    indptr: LongVector,
    item_idx: IntVector,
    weight: FloatVector,
    allowed: BoolVector,
    n_items: int,
    n: int,
) -> tuple[IntVector, FloatVector]:
    """The ``n`` best items of a vector and of some rows, each row times its share, added up.

    Parameters
    ----------
    own_idx, own : int32 and float32, shape (m,)
        Items unique.
    near, share : int32 and float32, shape (k,)
    indptr, item_idx, weight
        Items of each row.
    allowed : bool, shape (n_items,), or ``EVERYTHING``
    """
    room = len(own_idx)
    for r in near:
        room += indptr[r + 1] - indptr[r]
    total, is_reached = np.zeros(n_items, np.float32), np.zeros(n_items, np.bool_)
    reached, m = np.empty(min(room, n_items), np.int32), 0
    for i in range(len(own_idx)):
        total[own_idx[i]] = own[i]
        is_reached[own_idx[i]] = True
        reached[m] = own_idx[i]
        m += 1
    for i in range(len(near)):
        for e in range(indptr[near[i]], indptr[near[i] + 1]):
            item = item_idx[e]
            if not is_reached[item]:
                is_reached[item] = True
                reached[m] = item
                m += 1
            total[item] += share[i] * weight[e]
    score = total[reached[:m]]
    if len(allowed):
        score *= allowed[reached[:m]]
    return best_of(reached[:m], score, n)
