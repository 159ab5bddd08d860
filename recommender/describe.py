"""The compiled loop behind :func:`recommender.candidates.columns_of`, which says what its columns mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import types

from recommender.kernels import (
    BYTES,
    COUNT,
    FLOATS,
    FLOATS_2D,
    INTS,
    INTS_2D,
    LONGS,
    OUT_FLOATS,
    OUT_FLOATS_2D,
    compiled,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector, IntVector, LongVector

NEVER: Final = 20.0
"""Age, as ``log(1 + minutes)``, of what never happened; a year is 13.2."""
OLD: Final = 8.0
"""Age, as ``log(1 + days)``, of an item of which nobody knows when it came."""
N_PAIR: Final = 14
N_CUSTOMER, N_STANDING = 16, 6
"""Columns of ``candidates.CUSTOMER``, and those of them that tell where a customer stands, which come first."""
GAP_DAYS, PRICE = 6, 7
"""Columns of ``candidates.ITEM_FACTS`` that are read here."""
SESSION_GAP_US: Final = 30 * 60 * 1_000_000
MINUTE_US: Final = 60_000_000.0
DAY_US: Final = 86_400_000_000.0
MAX_DUE: Final = 5.0
DAY_MINUTES: Final = 1_440.0

_HERE: Final[Any] = (OUT_FLOATS_2D, COUNT)


@compiled(types.int64(OUT_FLOATS, COUNT))
def _place_of(part: FloatVector, i: int) -> int:
    """How many of some numbers are greater than one of them, or as great and before it.

    For the hundred that a source proposes, counting with SIMD takes a fraction of sorting them.
    """
    value, place = part[i], np.int32(0)
    for j in range(i):
        place += np.int32(part[j] >= value)
    for j in range(i + 1, len(part)):
        place += np.int32(part[j] > value)
    return int(place)


@compiled(types.void(OUT_FLOATS_2D, FLOATS_2D, FLOATS, INTS))
def _sources(columns: FloatMatrix, parts: FloatMatrix, best: FloatVector, told: IntVector) -> None:
    """Each source's share and one over its place, by source, and what some of them said themselves."""
    m, n_sources = parts.shape
    row_idx, part = np.empty(m, np.int32), np.empty(m, np.float32)
    for column in range(n_sources):
        k = 0
        for row in range(m):
            if parts[row, column] > 0:
                row_idx[k], part[k] = row, parts[row, column]
                k += 1
        for i in range(k):
            columns[column, row_idx[i]] = part[i]
            columns[n_sources + column, row_idx[i]] = 1 / (1 + _place_of(part[:k], i))
    for number in range(len(told)):
        for row in range(m):
            columns[2 * n_sources + number, row] = parts[row, told[number]] * best[told[number]]


@compiled(types.void(*_HERE, INTS, FLOATS_2D, INTS, BYTES, types.float64))
def _items(
    columns: FloatMatrix,
    at: int,
    item_idx: IntVector,
    facts: FloatMatrix,
    first_seen_day: IntVector,
    kind: NDArray[np.uint8],
    today: float,
) -> None:
    n = facts.shape[1]
    for i in range(len(item_idx)):
        item = item_idx[i]
        for fact in range(n):
            columns[at + fact, i] = facts[item, fact]
        age = np.log1p(max(0.0, today - first_seen_day[item])) if first_seen_day[item] > 0 else OLD
        columns[at + n, i] = age
        columns[at + n + 1, i] = kind[item] == 1
        columns[at + n + 2, i] = kind[item] == 2


@compiled(COUNT(INTS, types.int32))
def _place(item_idx: IntVector, item: int) -> int:
    """Row of an item among ascending ones; -1 where it is not there."""
    at = int(np.searchsorted(item_idx, item))
    return at if at < len(item_idx) and item_idx[at] == item else -1


@compiled(types.void(*_HERE, INTS, INTS, LONGS, INTS_2D, COUNT))
def _own(
    columns: FloatMatrix,
    at: int,
    item_idx: IntVector,
    touch_idx: IntVector,
    touch_at: LongVector,
    touch_counts: NDArray[np.int32],
    now: int,
) -> None:
    """What the customer did with each candidate; touches are gone through from the newest to the oldest."""
    for i in range(len(item_idx)):
        columns[at + 4, i] = NEVER
    is_session, last_at, place = True, now, 0
    for t in range(len(touch_idx) - 1, -1, -1):
        is_session = is_session and last_at - touch_at[t] <= SESSION_GAP_US
        last_at = touch_at[t]
        i = _place(item_idx, touch_idx[t])
        place += t + 1 == len(touch_idx) or touch_idx[t] != touch_idx[t + 1]
        if i < 0:
            continue
        columns[at, i] += touch_counts[t, 0] + touch_counts[t, 1]
        columns[at + 1, i] += touch_counts[t, 2]
        columns[at + 2, i] += touch_counts[t, 3] - touch_counts[t, 4]
        columns[at + 3, i] += touch_counts[t, 5]
        if columns[at + 4, i] == NEVER:
            columns[at + 4, i] = np.log1p((now - touch_at[t]) / MINUTE_US)
            columns[at + 6, i] = 1 / place
        columns[at + 5, i] += is_session


@compiled(types.void(*_HERE, INTS, INTS, INTS, FLOATS_2D, types.float64))
def _bought(
    columns: FloatMatrix,
    at: int,
    item_idx: IntVector,
    bought_idx: IntVector,
    bought_day: IntVector,
    facts: FloatMatrix,
    today: float,
) -> None:
    """On how many days each candidate was bought, how long ago, and whether it is due again."""
    first = np.zeros(len(item_idx), np.int32)
    last = np.zeros(len(item_idx), np.int32)
    for b in range(len(bought_idx)):
        i = _place(item_idx, bought_idx[b])
        if i >= 0 and bought_day[b] != last[i]:
            if last[i] == 0:
                first[i] = bought_day[b]
            last[i] = bought_day[b]
            columns[at, i] += 1
    for i in range(len(item_idx)):
        columns[at + 1, i], columns[at + 2, i] = NEVER, -1.0
        if last[i] == 0:
            continue
        age = max(0.0, today - last[i])
        columns[at + 1, i] = np.log1p(age * DAY_MINUTES)
        n = columns[at, i]
        gap = (last[i] - first[i]) / (n - 1) if n > 1 else float(facts[item_idx[i], GAP_DAYS])
        if gap > 0:
            columns[at + 2, i] = min(MAX_DUE, age / gap)


@compiled(types.void(*_HERE, INTS, INTS, FLOATS_2D, INTS, LONGS, INTS, COUNT))
def _tastes(
    columns: FloatMatrix,
    at: int,
    item_idx: IntVector,
    category: IntVector,
    facts: FloatMatrix,
    touch_idx: IntVector,
    touch_at: LongVector,
    anchor_idx: IntVector,
    now: int,
) -> None:
    """How each candidate fits the categories and prices of what was touched."""
    theirs, n_touches = category[touch_idx], len(touch_idx)
    n_known, n_priced, price = 0, 0, 0.0
    for item in touch_idx:
        n_known += category[item] >= 0
        if facts[item, PRICE] > 0:
            n_priced += 1
            price += facts[item, PRICE]
    for i in range(len(item_idx)):
        item = item_idx[i]
        columns[at + 1, i] = NEVER
        if facts[item, PRICE] > 0 and n_priced:
            columns[at + 3, i] = facts[item, PRICE] - price / n_priced
        if category[item] < 0:
            continue
        wanted, n_same, last_at = category[item], np.int32(0), np.int32(-1)
        for t in range(n_touches):
            is_same = theirs[t] == wanted
            n_same += np.int32(is_same)
            last_at = max(last_at, np.int32(t) if is_same else np.int32(-1))
        if last_at >= 0:
            columns[at, i] = n_same / n_known
            columns[at + 1, i] = np.log1p((now - touch_at[last_at]) / MINUTE_US)
        for anchor in anchor_idx:
            columns[at + 2, i] = max(columns[at + 2, i], np.float32(category[anchor] == category[item]))


@compiled(COUNT(INTS))
def _n_distinct(values: IntVector) -> int:
    ordered, n = np.sort(values), 0
    for i in range(len(ordered)):
        n += i == 0 or ordered[i] != ordered[i - 1]
    return n


@compiled(types.void(*_HERE, INTS, LONGS, INTS, COUNT, COUNT))
def _moment(
    columns: FloatMatrix,
    at: int,
    touch_idx: IntVector,
    touch_at: LongVector,
    bought_day: IntVector,
    n_anchors: int,
    now: int,
) -> None:
    """What is known of the customer at this moment, the same for every candidate."""
    n_touches, n_items, n_days = len(touch_idx), _n_distinct(touch_idx), _n_distinct(bought_day)
    start, last_at = n_touches, now
    while start > 0 and last_at - touch_at[start - 1] <= SESSION_GAP_US:
        start, last_at = start - 1, touch_at[start - 1]
    buy_age = max(0.0, now / DAY_US - bought_day.max()) if n_days else 0.0
    columns[at] = start < n_touches
    columns[at + 1] = np.log1p(n_touches)
    columns[at + 2] = np.log1p(n_items)
    columns[at + 3] = np.log1p(max(0, now - touch_at[-1]) / MINUTE_US) if n_touches else NEVER
    columns[at + 4] = np.log1p(n_touches - start)
    columns[at + 5] = np.log1p(n_days)
    columns[at + 6] = np.log1p(buy_age * DAY_MINUTES) if n_days else NEVER
    columns[at + 7] = 1 - n_items / n_touches if n_touches else 0.0
    columns[at + 8] = min(n_anchors, 5)


@compiled(
    OUT_FLOATS_2D(
        *(INTS, FLOATS_2D, FLOATS, INTS, FLOATS, FLOATS_2D, INTS, BYTES, INTS),
        *(INTS, LONGS, INTS_2D, INTS, INTS, INTS, COUNT, FLOATS, types.boolean),
    )
)
def describe(
    item_idx: IntVector,
    parts: FloatMatrix,
    best: FloatVector,
    told: IntVector,
    blend: FloatVector,
    facts: FloatMatrix,
    first_seen_day: IntVector,
    kind: NDArray[np.uint8],
    category: IntVector,
    touch_idx: IntVector,
    touch_at: LongVector,
    touch_counts: NDArray[np.int32],
    bought_idx: IntVector,
    bought_day: IntVector,
    anchor_idx: IntVector,
    now: int,
    standing: FloatVector,
    is_unseen_only: bool,  # noqa: FBT001 - compiled functions take no keywords
) -> FloatMatrix:
    """See :func:`recommender.candidates.columns_of`; ``item_idx`` ascending, touches and purchases oldest first."""
    m, n_sources = parts.shape
    at_blend = 2 * n_sources + len(told)
    at_item = at_blend + 1
    at_pair = at_item + facts.shape[1] + 3
    at_customer = at_pair + N_PAIR
    columns = np.zeros((at_customer + N_CUSTOMER, m), np.float32)
    today = now / DAY_US
    _sources(columns, parts, best, told)
    _items(columns, at_item, item_idx, facts, first_seen_day, kind, today)
    _own(columns, at_pair, item_idx, touch_idx, touch_at, touch_counts, now)
    _bought(columns, at_pair + 7, item_idx, bought_idx, bought_day, facts, today)
    _tastes(columns, at_pair + 10, item_idx, category, facts, touch_idx, touch_at, anchor_idx, now)
    columns[at_blend] = blend
    for number in range(N_STANDING):
        columns[at_customer + number] = standing[number]
    _moment(columns, at_customer + N_STANDING, touch_idx, touch_at, bought_day, len(anchor_idx), now)
    columns[at_customer + N_CUSTOMER - 1] = is_unseen_only
    return columns
