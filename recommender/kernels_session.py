"""Compiled loops over sessions: the running one, its neighbours among past ones, and what these vote for.

Sessions are rows numbered by their end, so that a greater number is a more recent session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import types

from recommender.kernels import (
    BOOLS,
    COUNT,
    FLOATS,
    INTS,
    LONGS,
    OUT_FLOATS,
    OUT_INTS,
    RANKED,
    REAL,
    best_of,
    compiled,
    tuple_of,
)

if TYPE_CHECKING:
    from recommender.kernels import BoolVector, FloatVector, IntVector, LongVector

MAX_SESSION_ITEMS: Final = 50
"""A past session keeps its last so many distinct items."""
MAX_RUNNING_ITEMS: Final = 30
"""The running session counts by its last so many distinct items."""
NEIGHBOURS: Final[Any] = tuple_of((OUT_INTS, OUT_FLOATS, OUT_INTS))


@compiled(tuple_of((OUT_INTS, types.int64))(INTS, INTS, LONGS, COUNT, COUNT, COUNT))
def running_session(
    anchors: IntVector, touch_idx: IntVector, touch_at: LongVector, now: int, gap_us: int, n_older: int
) -> tuple[IntVector, int]:
    """Distinct items of the running session, newest first, and how many of them are its own.

    Anchors of the page are the newest of all. A session ends with a pause longer than ``gap_us``. Up to
    ``n_older`` items from before it follow; where nothing runs, the last session is the running one, or,
    beside anchors, older.

    Parameters
    ----------
    touch_idx, touch_at : int32 and int64 microseconds, shape (m,), oldest first
    """
    items = np.empty(MAX_RUNNING_ITEMS, np.int32)
    n, own, older = 0, 0, 0
    for item in anchors:
        if n < MAX_RUNNING_ITEMS and not (items[:n] == item).any():
            items[n] = item
            n += 1
    own = n
    runs = own == 0
    later = touch_at[-1] if own == 0 and len(touch_at) else now
    for i in range(len(touch_idx) - 1, -1, -1):
        if i == len(touch_idx) - 1 or runs:
            runs = later - touch_at[i] <= gap_us
        later = touch_at[i]
        if n == MAX_RUNNING_ITEMS or (not runs and older == n_older):
            break
        if not (items[:n] == touch_idx[i]).any():
            items[n] = touch_idx[i]
            n += 1
            if runs:
                own = n
            else:
                older += 1
    return items[:n], own


@compiled(NEIGHBOURS(LONGS, INTS, INTS, FLOATS, COUNT))
def recent_sessions(
    indptr: LongVector, sessions: IntVector, items: IntVector, share: FloatVector, n: int
) -> tuple[IntVector, FloatVector, IntVector]:
    """The ``n`` most recent sessions that hold one of some items, by merging the items' lists.

    Parameters
    ----------
    indptr : int64, shape (n_items + 1,)
    sessions : int32
        Sessions of each item, most recent first.
    items, share : int32 and float32, shape (m,)
        Unique.

    Returns
    -------
    session : int32, descending
    similarity : float32
        Sum of the shares of the items it holds.
    place : int32
        Least index of an item it holds.
    """
    found, similarity, place = np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.int32)
    head, end = indptr[items].copy(), indptr[items + 1]
    front = np.full(len(items), -1, np.int32)
    for i in range(len(items)):
        if head[i] < end[i]:
            front[i] = sessions[head[i]]
    m = 0
    while m < n:
        newest = front.max() if len(front) else -1
        if newest < 0:
            break
        found[m], similarity[m], place[m] = newest, 0, -1
        for i in range(len(items)):
            if front[i] == newest:
                similarity[m] += share[i]
                place[m] = i if place[m] < 0 else place[m]
                head[i] += 1
                front[i] = sessions[head[i]] if head[i] < end[i] else -1
        m += 1
    return found[:m], similarity[:m], place[:m]


@compiled(types.int64[::1](FLOATS, COUNT))
def greatest(value: FloatVector, n: int) -> LongVector:
    """Indices of the ``n`` greatest values, ascending; of those equal at the cut the first."""
    m = len(value)
    if m <= n:
        return np.arange(m)
    bound = np.partition(value, m - n)[m - n]
    room = n - (value > bound).sum()
    kept, count = np.empty(n, np.int64), 0
    for i in range(m):
        if value[i] > bound or (value[i] == bound and room > 0):
            room -= value[i] == bound
            kept[count] = i
            count += 1
    return kept[:count]


@compiled(OUT_FLOATS(REAL, COUNT))
def decays(scale: float, n: int) -> FloatVector:
    """``exp(-x / scale)`` for x = 0 .. n - 1."""
    return np.exp(-np.arange(n) / scale).astype(np.float32)


@compiled(RANKED(LONGS, INTS, INTS, FLOATS, INTS, FLOATS, COUNT, REAL, REAL, COUNT, COUNT))
def nearest_sessions(
    indptr: LongVector,
    sessions: IntVector,
    items: IntVector,
    share: FloatVector,
    day: IntVector,
    length: FloatVector,
    today: int,
    days: float,
    places: float,
    sample_size: int,
    k: int,
) -> tuple[IntVector, FloatVector]:
    """The ``k`` of the most recent sessions that are most like the running one, and how much the vote of each counts.

    ``similarity(s) * exp(-age(s) / days) / length(s)`` chooses, times ``exp(-place / places)`` counts, the place being
    that of the newest item of the running session that ``s`` holds.

    Parameters
    ----------
    indptr, sessions, items, share
        As :func:`recent_sessions`.
    day : int32, shape (n_sessions,)
        UTC day on which each ended.
    length : float32, shape (n_sessions,)
        What its similarity is divided by.
    """
    session, similarity, place = recent_sessions(indptr, sessions, items, share, sample_size)
    for i in range(len(session)):
        age = np.float32(max(0, today - day[session[i]]))
        similarity[i] *= np.exp(-age / days) / length[session[i]]
    nearest, decay = greatest(similarity, k), decays(places, len(items))
    for i in range(len(nearest)):
        at = nearest[i]
        session[i], similarity[i] = session[at], similarity[at] * decay[place[at]]
    return session[: len(nearest)], similarity[: len(nearest)]


@compiled(RANKED(LONGS, INTS, INTS, FLOATS, INTS, REAL, FLOATS, BOOLS, types.boolean, COUNT))
def voted(
    indptr: LongVector,
    item_idx: IntVector,
    neighbours: IntVector,
    similarity: FloatVector,
    items: IntVector,
    reach: float,
    item_weight: FloatVector,
    allowed: BoolVector,
    may_repeat: bool,  # noqa: FBT001 - compiled functions take no keywords
    n: int,
) -> tuple[IntVector, FloatVector]:
    """The ``n`` best items of some sessions, each counting by how near it is to the last shared item.

    ``score(j) = w(j) * sum over sessions s of similarity(s) * exp(-|pos_s(j) - pos_s(last shared)| / reach)``

    Parameters
    ----------
    indptr : int64, shape (n_sessions + 1,)
    item_idx : int32
        Items of each session, oldest first.
    neighbours, similarity : int32 and float32, shape (k,)
    items : int32, shape (m,)
        Items of the running session; proposed only if ``may_repeat``.
    reach : float32
        Positions.
    item_weight : float32, shape (n_items,)
    """
    n_items = len(item_weight)
    total, is_reached, is_own = np.zeros(n_items, np.float32), np.zeros(n_items, np.bool_), np.zeros(n_items, np.bool_)
    is_own[items] = True
    near = decays(reach, MAX_SESSION_ITEMS)
    reached = np.empty(min(n_items, len(neighbours) * MAX_SESSION_ITEMS), np.int32)
    m = 0
    for k in range(len(neighbours)):
        first, end = indptr[neighbours[k]], indptr[neighbours[k] + 1]
        shared = first
        for at in range(first, end):
            if is_own[item_idx[at]]:
                shared = at
        for at in range(first, end):
            item = item_idx[at]
            if (len(allowed) and not allowed[item]) or (is_own[item] and not may_repeat):
                continue
            if not is_reached[item]:
                is_reached[item] = True
                reached[m] = item
                m += 1
            total[item] += similarity[k] * near[min(abs(at - shared), MAX_SESSION_ITEMS - 1)] * item_weight[item]
    return best_of(reached[:m], total[reached[:m]], n)
