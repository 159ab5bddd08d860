"""The compiled loop behind :func:`recommender.rules.held_back`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import types

from recommender.kernels import BOOLS, BYTES, COUNT, INTS, INTS_2D, LONGS, compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.kernels import BoolVector, IntVector, LongVector

FREE, IN_CART, ALREADY_READ, JUST_BOUGHT, UNAVAILABLE = range(5)
READS, CARTS, UNCARTS, BUYS = 1, 3, 4, 5
"""Columns of touches."""
CONTENT: Final = 1


@compiled(types.void(types.uint8[::1], INTS, LONGS, INTS_2D, COUNT))
def _put_cart(
    why: NDArray[np.uint8], touch_idx: IntVector, touch_at: LongVector, touch_counts: NDArray[np.int32], after: int
) -> None:
    """Mark what was put in the cart and neither taken out nor bought later; touches oldest first."""
    for t in range(len(touch_idx)):
        if touch_at[t] <= after:
            continue
        if touch_counts[t, UNCARTS] or touch_counts[t, BUYS]:
            why[touch_idx[t]] = FREE
        elif touch_counts[t, CARTS]:
            why[touch_idx[t]] = IN_CART


@compiled(types.uint8[::1](INTS, BOOLS, BYTES, INTS, LONGS, INTS_2D, INTS, INTS, INTS, COUNT, COUNT, COUNT))
def whys(
    item_idx: IntVector,
    is_available: BoolVector,
    kind: NDArray[np.uint8],
    touch_idx: IntVector,
    touch_at: LongVector,
    touch_counts: NDArray[np.int32],
    bought_idx: IntVector,
    bought_day: IntVector,
    cart_idx: IntVector,
    carted_after: int,
    read_after: int,
    bought_after: int,
) -> NDArray[np.uint8]:
    """Why each candidate is held back, uint8, shape (m,); of several reasons the greatest number.

    Parameters
    ----------
    is_available : bool, shape (m,)
        Of each candidate.
    kind : uint8, shape (n_items,)
    carted_after, read_after : int
        Microseconds; older touches do not count.
    bought_after : int
        The same, UTC day.
    """
    why = np.zeros(len(kind), np.uint8)
    _put_cart(why, touch_idx, touch_at, touch_counts, carted_after)
    for item in cart_idx:
        why[item] = IN_CART
    for t in range(len(touch_idx)):
        if touch_at[t] > read_after and touch_counts[t, READS] > 0 and kind[touch_idx[t]] == CONTENT:
            why[touch_idx[t]] = ALREADY_READ
    for b in range(len(bought_idx)):
        if bought_day[b] > bought_after:
            why[bought_idx[b]] = JUST_BOUGHT
    found = np.empty(len(item_idx), np.uint8)
    for i in range(len(item_idx)):
        found[i] = why[item_idx[i]] if is_available[i] else UNAVAILABLE
    return found
