"""Compiled loops from a customer's records to rows of the bundle's vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import types

from recommender.kernels import COUNT, LONGS, OUT_INTS, compiled, read_only, tuple_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.kernels import IntVector, LongVector

RECORDS: Final[Any] = read_only(types.int64, 2)
OUT_INTS_2D: Final[Any] = types.int32[:, ::1]
TIME, KEY, TIMES, FIRST_COUNT = 0, 1, 3, 3
"""Columns of a record: when, which item; how often it was bought; the first of the counts of touches."""


@compiled(types.int64(LONGS, types.int64))
def place_of(item_key: LongVector, key: int) -> int:
    """Row of a key among ascending ones; -1 where it is not there."""
    at = int(np.searchsorted(item_key, key))
    return at if at < len(item_key) and item_key[at] == key else -1


@compiled(OUT_INTS(LONGS, LONGS))
def places_of(item_key: LongVector, keys: LongVector) -> IntVector:
    """Row of each of some keys among ascending ones; -1 where it is not there."""
    rows = np.empty(len(keys), np.int32)
    for i in range(len(keys)):
        rows[i] = place_of(item_key, keys[i])
    return rows


@compiled(tuple_of((OUT_INTS, types.int64[::1], OUT_INTS_2D))(RECORDS, LONGS, COUNT))
def known_touches(
    seen: NDArray[np.int64], item_key: LongVector, now: int
) -> tuple[IntVector, LongVector, NDArray[np.int32]]:
    """Row, time and counts of each touch before ``now`` of an item that the bundle knows.

    Parameters
    ----------
    seen : int64, shape (m, 3 + n_counts)
        Time, item key, something else, counts.
    """
    n_counts = seen.shape[1] - FIRST_COUNT
    rows, at, counts = (
        np.empty(len(seen), np.int32),
        np.empty(len(seen), np.int64),
        np.empty((len(seen), n_counts), np.int32),
    )
    m = 0
    for i in range(len(seen)):
        row = place_of(item_key, seen[i, KEY])
        if row < 0 or seen[i, TIME] >= now:
            continue
        rows[m], at[m] = row, seen[i, TIME]
        for column in range(n_counts):
            counts[m, column] = seen[i, FIRST_COUNT + column]
        m += 1
    return rows[:m], at[:m], counts[:m]


@compiled(tuple_of((OUT_INTS, OUT_INTS, OUT_INTS))(RECORDS, LONGS))
def known_purchases(bought: NDArray[np.int64], item_key: LongVector) -> tuple[IntVector, IntVector, IntVector]:
    """Row, day and order lines of each purchase of an item that the bundle knows.

    Parameters
    ----------
    bought : int64, shape (m, at least 4)
        Day, item key, something else, order lines.
    """
    rows, day, times = np.empty(len(bought), np.int32), np.empty(len(bought), np.int32), np.empty(len(bought), np.int32)
    m = 0
    for i in range(len(bought)):
        row = place_of(item_key, bought[i, KEY])
        if row >= 0:
            rows[m], day[m], times[m] = row, bought[i, TIME], bought[i, TIMES]
            m += 1
    return rows[:m], day[:m], times[:m]
