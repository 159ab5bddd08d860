"""The compiled loop over an exposure memory: how often what was shown within which window, and how faded it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import types

from recommender.kernels import BYTES, COUNT, LONGS, compiled, read_only, tuple_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import LongVector

LONGS_2D: Final[Any] = read_only(types.int64, 2)
OF_ITEM, OF_KIND, OF_CHANNEL = range(3)
ANY: Final = -1
_HI, _ITEM, _TTL_S, _CHANNEL, _KIND, _SEEN, _REACTION = 0, 2, 3, 4, 5, 6, 7
_F_ITEM, _F_HOUR, _F_PLACE, _F_COUNT = 0, 1, 3, 4
"""Columns as in ``recommender.exposure``."""
_HOUR_MS, _MINUTE_MS = 3_600_000, 60_000


_ROW: Final[Any] = types.int64[:, ::1]
OUT_LONGS: Final[Any] = types.int64[::1]
OUT_REALS: Final[Any] = types.float64[::1]
REALS: Final[Any] = read_only(types.float64)
ITEM, AT, CHANNEL, KIND, TIMES, REACTED = range(6)
"""Columns of what counts; ``REACTED`` is when, -1 for never, and -2 of counts, which say nothing of reactions."""


@compiled(_ROW(LONGS_2D, LONGS_2D, COUNT, COUNT))
def what_counts(shows: NDArray[np.int64], folded: NDArray[np.int64], now: int, n_channels: int) -> NDArray[np.int64]:
    """Shows that were seen, reservations that have not expired at ``now`` (milliseconds), and counts of older ones.

    Returns
    -------
    int64, shape (m, 6)
        Item, milliseconds, channel, kind + 1, how often, reacted when.
    """
    rows = np.empty((len(shows) + len(folded), 6), np.int64)
    m = 0
    for i in range(len(shows)):
        at = shows[i, _HI] >> 16
        if shows[i, _SEEN] > 0 or at + shows[i, _TTL_S] * 1_000 > now:
            rows[m, ITEM], rows[m, AT], rows[m, CHANNEL] = shows[i, _ITEM], at, shows[i, _CHANNEL]
            rows[m, KIND], rows[m, TIMES] = shows[i, _KIND], 1
            rows[m, REACTED] = at + shows[i, _SEEN] * _MINUTE_MS if shows[i, _REACTION] > 0 else -1
            m += 1
    for i in range(len(folded)):
        rows[m, ITEM], rows[m, AT] = folded[i, _F_ITEM], folded[i, _F_HOUR] * _HOUR_MS
        rows[m, CHANNEL], rows[m, KIND] = folded[i, _F_PLACE] % n_channels, folded[i, _F_PLACE] // n_channels
        rows[m, TIMES], rows[m, REACTED] = folded[i, _F_COUNT], -2
        m += 1
    return rows[:m].copy()


@compiled(types.void(_ROW, LONGS, LONGS, LONGS, types.int64[::1], types.int64[::1], COUNT, COUNT))
def _count(
    rows: NDArray[np.int64],
    cap_of: LongVector,
    cap_which: LongVector,
    cap_window: LongVector,
    of_item: LongVector,
    total: LongVector,
    row: int,
    now: int,
) -> None:
    """Count one row for every cap whose window it is in."""
    for cap in range(len(cap_of)):
        if rows[row, AT] <= now - cap_window[cap]:
            continue
        if cap_of[cap] == OF_ITEM:
            of_item[cap] += rows[row, TIMES] * (cap_which[cap] == ANY or cap_which[cap] == rows[row, CHANNEL])
        else:
            total[cap] += rows[row, TIMES] * (cap_which[cap] == rows[row, KIND if cap_of[cap] == OF_KIND else CHANNEL])


@compiled(
    tuple_of((OUT_LONGS, _ROW, OUT_LONGS, OUT_LONGS, OUT_LONGS, OUT_REALS))(
        LONGS_2D, LONGS_2D, COUNT, LONGS, LONGS, LONGS, COUNT, types.float64
    )
)
def tally(
    shows: NDArray[np.int64],
    folded: NDArray[np.int64],
    now: int,
    cap_of: LongVector,
    cap_which: LongVector,
    cap_window: LongVector,
    n_channels: int,
    half_life_ms: float,
) -> tuple[LongVector, NDArray[np.int64], LongVector, LongVector, LongVector, NDArray[np.float64]]:
    """Count the shows that count at ``now`` (milliseconds).

    Parameters
    ----------
    shows, folded : int64, shape (n, 8) and (m, 5)
        As in :class:`recommender.exposure.Exposure`.
    cap_of, cap_which, cap_window : int64, shape (k,)
        What a cap counts, which channel or kind + 1 (``ANY`` for any), and milliseconds.

    Returns
    -------
    item : int64, shape (u,)
        Ascending.
    count : int64, shape (u, k)
        Shows of each item within the window of each cap that is of an item.
    most : int64, shape (k,)
        The greatest of these counts.
    total : int64, shape (k,)
        All shows within the window of each cap of a kind or a channel.
    faded_item : int64, shape (v,)
        Ascending; items that were shown since the last reaction to them.
    faded : float64, shape (v,), > 0
        How often, each show half as much a half-life later.
    """
    rows = what_counts(shows, folded, now, n_channels)
    m, n_caps = len(rows), len(cap_of)
    order = np.argsort(rows[:, ITEM])
    items, faded_item, faded = np.empty(m, np.int64), np.empty(m, np.int64), np.empty(m)
    count, most, total = np.zeros((m, n_caps), np.int64), np.zeros(n_caps, np.int64), np.zeros(n_caps, np.int64)
    u, v, start = 0, 0, 0
    while start < m:
        end, reacted_at, shown = start, -1, 0.0
        items[u] = rows[order[start], ITEM]
        while end < m and rows[order[end], ITEM] == items[u]:
            reacted_at = max(reacted_at, rows[order[end], REACTED])
            end += 1
        for row in order[start:end]:
            _count(rows, cap_of, cap_which, cap_window, count[u], total, row, now)
            if rows[row, REACTED] > -2 and rows[row, AT] > reacted_at:
                shown += 2.0 ** (-max(0, now - rows[row, AT]) / half_life_ms)
        for cap in range(n_caps):
            most[cap] = max(most[cap], count[u, cap])
        if shown > 0:
            faded_item[v], faded[v] = items[u], shown
            v += 1
        u, start = u + 1, end
    return items[:u].copy(), count[:u].copy(), most, total, faded_item[:v].copy(), faded[:v].copy()


@compiled(OUT_REALS(LONGS, LONGS, REALS))
def lost_by(item_key: LongVector, faded_key: LongVector, fading: NDArray[np.float64]) -> NDArray[np.float64]:
    """``fading`` of each of some items, 0 where it has none; both keys ascending."""
    lost = np.zeros(len(item_key))
    for i in range(len(faded_key)):
        at = np.searchsorted(item_key, faded_key[i])
        if at < len(item_key) and item_key[at] == faded_key[i]:
            lost[at] = fading[i]
    return lost


SLATE_BYTES, ITEM_BYTES = 22, 11
_KINDS: Final = 4
_OUT_BYTES: Final[Any] = types.uint8[::1]


@compiled(types.void(_OUT_BYTES, COUNT, COUNT, COUNT))
def put(raw: NDArray[np.uint8], at: int, width: int, value: int) -> None:
    """A number as ``width`` bytes, the least first."""
    for k in range(width):
        raw[at + k] = (value >> (8 * k)) & 255


@compiled(types.int64(BYTES, COUNT, COUNT))
def taken(raw: NDArray[np.uint8], at: int, width: int) -> np.int64:
    """Inverse of :func:`put`; of eight bytes with its sign, of fewer none is negative."""
    value = np.int64(0)
    for k in range(width):
        value |= np.int64(raw[at + k]) << (8 * k)
    return value


@compiled(tuple_of((_OUT_BYTES, _OUT_BYTES))(LONGS_2D))
def packed_shows(shows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Shows, those of a slate together, as bytes of slates and of their items.

    A slate is hi and lo (8 each), time to live (4), channel and number of items; an item is its key (8), when it was
    seen (2), and four times its reaction plus its kind.
    """
    slates, items = np.empty(len(shows) * SLATE_BYTES, np.uint8), np.empty(len(shows) * ITEM_BYTES, np.uint8)
    at, n = -SLATE_BYTES, 0
    for row in range(len(shows)):
        if row == 0 or shows[row, 0] != shows[row - 1, 0] or shows[row, 1] != shows[row - 1, 1]:
            at, n = at + SLATE_BYTES, 0
            put(slates, at, 8, shows[row, 0])
            put(slates, at + 8, 8, shows[row, 1])
            put(slates, at + 16, 4, shows[row, _TTL_S])
            put(slates, at + 20, 1, shows[row, _CHANNEL])
        n += 1
        slates[at + 21] = n & 255
        put(items, row * ITEM_BYTES, 8, shows[row, _ITEM])
        put(items, row * ITEM_BYTES + 8, 2, shows[row, _SEEN])
        items[row * ITEM_BYTES + 10] = (shows[row, _REACTION] * _KINDS + shows[row, _KIND]) & 255
    return slates[: at + SLATE_BYTES], items


@compiled(_ROW(BYTES, BYTES))
def unpacked_shows(slates: NDArray[np.uint8], items: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Inverse of :func:`packed_shows`, int64, shape (n, 8); no row where slates have not as many items as there are."""
    n_items, total = len(items) // ITEM_BYTES, 0
    for slate in range(len(slates) // SLATE_BYTES):
        total += slates[slate * SLATE_BYTES + 21]
    if total != n_items:
        return np.empty((0, 8), np.int64)
    shows, row = np.empty((n_items, 8), np.int64), 0
    for at in range(0, len(slates), SLATE_BYTES):
        for _ in range(slates[at + 21]):
            shows[row, 0], shows[row, 1] = taken(slates, at, 8), taken(slates, at + 8, 8)
            shows[row, _TTL_S], shows[row, _CHANNEL] = taken(slates, at + 16, 4), slates[at + 20]
            shows[row, _ITEM] = taken(items, row * ITEM_BYTES, 8)
            shows[row, _SEEN] = taken(items, row * ITEM_BYTES + 8, 2)
            deed = np.int64(items[row * ITEM_BYTES + 10])
            shows[row, _KIND], shows[row, _REACTION] = deed % _KINDS, deed // _KINDS
            row += 1
    return shows
