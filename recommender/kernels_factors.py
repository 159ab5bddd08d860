"""Compiled scan of coded factors: which rows can be among the best of a dot product, at a byte a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import types

from recommender.kernels import BOOLS, COUNT, FLOATS, FLOATS_2D, OUT_INTS, compiled, read_only, tuple_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.kernels import BoolVector, FloatVector, IntVector

CODES: Final = read_only(types.int8, 2)
MAX_TASTE: Final = 8_191
"""Greatest number of a coded taste: 127 times it, summed over 2,000 factors, stays within 32 bits."""
ROUNDING: Final = 1e-5
"""What single precision may take from a dot product, over the product of both norms."""


@compiled(tuple_of((types.int16[::1], types.float32, types.float32, types.float32))(FLOATS))
def coded_taste(taste: FloatVector) -> tuple[NDArray[np.int16], np.floating, np.floating, np.floating]:
    """A taste in whole multiples of a unit; the unit, its norm, and what codes and rounding may take from that.

    All zeros, with a unit that is no positive number, where the taste is zero or not finite.
    """
    coded: NDArray[np.int16] = np.zeros(len(taste), np.int16)
    norm, greatest, missed = np.float32(0), np.float32(0), np.float32(0)
    for j in range(len(taste)):
        norm += taste[j] * taste[j]
        greatest = max(greatest, abs(taste[j]))
    norm, unit = np.sqrt(norm), greatest / np.float32(MAX_TASTE)
    if not (0 < unit < np.inf and norm < np.inf):
        return coded, np.float32(0), norm, norm
    for j in range(len(taste)):
        coded[j] = np.int16(np.rint(taste[j] / unit))
        missed += (taste[j] - coded[j] * unit) ** 2
    return coded, unit, norm, np.float32(np.sqrt(missed) + np.float32(ROUNDING) * norm)


@compiled(OUT_INTS(CODES, types.int16[::1]))
def coded_products(codes: NDArray[np.int8], coded: NDArray[np.int16]) -> IntVector:
    """Dot product of each row of codes with a coded taste, int32, shape (m,).

    Nothing else happens in this loop, in 32 bits throughout, so that it becomes the processor's multiply-and-add.
    """
    m, f = codes.shape
    flat, total = codes.reshape(-1), np.empty(m, np.int32)
    for i in range(m):
        row, one = flat[i * f : (i + 1) * f], np.int32(0)
        for j in range(len(row)):
            one = np.int32(one + np.int32(np.int32(row[j]) * np.int32(coded[j])))
        total[i] = one
    return total


@compiled(types.float32(FLOATS, COUNT))
def floor_of(score: FloatVector, n: int) -> np.floating:
    """A number that is at most the ``n``-th greatest score and near it, and at least 0.

    The ``n``-th greatest of the best scores of many groups.
    """
    m = len(score)
    depth = max(1, m // (4 * n + 1))
    best = np.zeros((m + depth - 1) // depth, np.float32)
    for group in range(len(best)):
        for i in range(group * depth, min(m, (group + 1) * depth)):
            best[group] = max(best[group], score[i])
    return np.partition(best, len(best) - n)[len(best) - n] if len(best) > n else np.float32(0)


@compiled(OUT_INTS(CODES, FLOATS_2D, FLOATS, BOOLS, COUNT))
def within_reach(
    codes: NDArray[np.int8], bounds: FloatVector, taste: FloatVector, allowed: BoolVector, n: int
) -> IntVector:
    """Every row that can be one of the ``n`` best by its dot product with a taste, ascending; few others.

    A coded row is off by at most its residual's norm times the taste's (Cauchy and Schwarz), which bounds each
    score from both sides; :func:`floor_of` the lower bounds is at most the n-th greatest score.

    Parameters
    ----------
    codes : int8, shape (m, f), with ``f`` at most 2,000
    bounds : float32, shape (m, 3)
        Unit, norm of the residual and norm of each row.
    taste : float32, shape (f,)
    allowed : bool, shape (m,), or ``EVERYTHING``
    """
    coded, unit, norm, off = coded_taste(taste)
    if unit == 0:
        return np.empty(0, np.int32)
    m = len(codes)
    total = coded_products(codes, coded)
    upper, lower = np.empty(m, np.float32), np.empty(m, np.float32)
    for i in range(m):
        score = np.float32(total[i]) * bounds[i, 0] * unit
        slack = bounds[i, 1] * (norm + off) + bounds[i, 2] * off
        upper[i], lower[i] = score + slack, score - slack
    if len(allowed):
        for i in range(m):
            if not allowed[i]:
                upper[i], lower[i] = -np.inf, -np.inf
    bound = floor_of(lower, n)
    rows, found = np.empty(m, np.int32), 0
    for i in range(m):
        if upper[i] >= bound and upper[i] > 0:
            rows[found] = i
            found += 1
    return rows[:found]
