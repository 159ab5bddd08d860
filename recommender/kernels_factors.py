"""Compiled scan of coded factors: which rows can be among the best of a dot product, at a byte a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import types

from recommender.kernels import (
    BOOLS,
    COUNT,
    FLOATS,
    FLOATS_2D,
    INTS,
    OUT_FLOATS,
    OUT_INTS,
    RANKED,
    REAL,
    best_of,
    compiled,
    compiled_freely,
    read_only,
    tuple_of,
)
from recommender.simd import LANES, product_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.kernels import BoolVector, FloatVector, IntVector

    FloatMatrix = NDArray[np.float32]

CODES: Final = read_only(types.int8, 2)
_REALS, _REALS_2D = types.float64[::1], types.float64[:, ::1]
MAX_TASTE: Final = 8_191
"""Greatest number of a coded taste: 127 times it, summed over 2,000 factors, stays within 32 bits."""
BLOCK: Final = 32
"""Rows that are counted before it is asked which of them they were."""
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
    """Dot product of each row of codes with a coded taste, int32, shape (m,)."""
    m, f = codes.shape
    flat, total, wide = codes.reshape(-1), np.empty(m, np.int32), f - f % LANES
    for i in range(m):
        one = product_of(flat, i * f, coded, wide) if wide else np.int32(0)
        for j in range(wide, f):
            one = np.int32(one + np.int32(np.int32(flat[i * f + j]) * np.int32(coded[j])))
        total[i] = one
    return total


@compiled(types.float32(OUT_FLOATS, COUNT))
def floor_of(score: FloatVector, n: int) -> np.floating:
    """A number that is at most the ``n``-th greatest score and near it, and at least 0.

    The ``n``-th greatest of the best scores of many groups. The bits of floats of at least 0, read as whole numbers,
    are in the order of the floats, and those of others are below 0: so the greatest of a group is found with SIMD.
    """
    m, bits = len(score), score.view(np.int32)
    depth = max(1, m // (4 * n + 1))
    best = np.zeros((m + depth - 1) // depth, np.int32)
    for group in range(len(best)):
        greatest = np.int32(0)
        for i in range(group * depth, min(m, (group + 1) * depth)):
            greatest = max(greatest, bits[i])
        best[group] = greatest
    if len(best) <= n:
        return np.float32(0)
    found: np.float32 = np.partition(best, len(best) - n).view(np.float32)[len(best) - n]
    return found


@compiled(OUT_INTS(CODES, FLOATS_2D, FLOATS, BOOLS, COUNT))
def within_reach(
    codes: NDArray[np.int8], bounds: FloatMatrix, taste: FloatVector, allowed: BoolVector, n: int
) -> IntVector:
    """Every row that can be one of the ``n`` best by its dot product with a taste, ascending; few others.

    A coded row is off by at most its residual's norm times the taste's (Cauchy and Schwarz), which bounds each
    score from both sides; :func:`floor_of` the lower bounds is at most the n-th greatest score.

    Parameters
    ----------
    codes : int8, shape (m, f), with ``f`` at most 2,000
    bounds : float32, shape (3, m)
        Unit, norm of the residual and norm of each row.
    taste : float32, shape (f,)
    allowed : bool, shape (m,), or ``EVERYTHING``
    """
    coded, unit, norm, off = coded_taste(taste)
    if unit == 0:
        return np.empty(0, np.int32)
    m, reach = len(codes), np.float32(norm + off)
    units, residuals, norms = bounds[0], bounds[1], bounds[2]
    total = coded_products(codes, coded)
    upper, lower = np.empty(m, np.float32), np.empty(m, np.float32)
    for i in range(m):
        score = np.float32(total[i]) * units[i] * unit
        slack = residuals[i] * reach + norms[i] * off
        upper[i], lower[i] = score + slack, score - slack
    if len(allowed):
        for i in range(m):
            upper[i] = upper[i] if allowed[i] else np.float32(-np.inf)
            lower[i] = lower[i] if allowed[i] else np.float32(-np.inf)
    bound = floor_of(lower, n)
    rows, found = np.empty(m, np.int32), 0
    for block in range(0, m, BLOCK):
        end, some = min(m, block + BLOCK), np.int32(0)
        for i in range(block, end):
            some += np.int32(upper[i] >= bound)
        if some == 0:
            continue
        for i in range(block, end):
            if upper[i] >= bound and upper[i] > 0:
                rows[found] = i
                found += 1
    return rows[:found]


@compiled_freely(RANKED(FLOATS_2D, INTS, FLOATS, COUNT))
def nearest(factors: FloatMatrix, rows: IntVector, taste: FloatVector, n: int) -> tuple[IntVector, FloatVector]:
    """The ``n`` best of some rows by their dot product with a taste, each of which is the same among any others."""
    score, f = np.empty(len(rows), np.float32), len(taste)
    for i in range(len(rows)):
        row, product = factors[rows[i]], np.float32(0)
        for j in range(f):
            product += row[j] * taste[j]
        score[i] = product
    return best_of(rows, score, n)


@compiled(types.void(_REALS_2D, _REALS))
def cholesky_solve(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> None:
    """Solve a system whose matrix is symmetric and positive, without pivoting; both are overwritten.

    ``matrix`` becomes Cholesky's factor in its lower half, and ``right`` the solution.
    """
    n = len(right)
    for i in range(n):
        for j in range(i + 1):
            left = matrix[i, j]
            for k in range(j):
                left -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = np.sqrt(left) if i == j else left / matrix[j, j]
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]


@compiled_freely(types.void(FLOATS_2D, FLOATS, INTS, REAL, types.float32[:, ::1], _REALS_2D))
def _scaled_and_gram(
    factors: FloatMatrix,
    spectrum: FloatVector,
    item_idx: IntVector,
    reg: float,
    scaled: FloatMatrix,
    gram: NDArray[np.float64],
) -> None:
    """Fill ``Y D^-1`` and ``Y D^-1 Y'``."""
    f = len(spectrum)
    for i in range(len(item_idx)):
        row = factors[item_idx[i]]
        for k in range(f):
            scaled[i, k] = row[k] / (spectrum[k] + reg)
        for j in range(i + 1):
            other, product = factors[item_idx[j]], np.float32(0)
            for k in range(f):
                product += scaled[i, k] * other[k]
            gram[i, j], gram[j, i] = product, product


@compiled(OUT_FLOATS(FLOATS_2D, FLOATS, INTS, FLOATS, REAL))
def folded_few(
    factors: FloatMatrix, spectrum: FloatVector, item_idx: IntVector, confidence: FloatVector, reg: float
) -> FloatVector:
    """What :func:`recommender.retrievers.als.fold_in` says of few items, without calling a library for each step.

    With ``G = Y D^-1 Y'`` and ``S`` the roots of the confidences less one it is
    ``D^-1 Y' (c - S (I + S G S)^-1 S G c)``, whose matrix is symmetric and at least the identity.
    """
    n, f = len(item_idx), len(spectrum)
    scaled, system = np.empty((n, f), np.float32), np.empty((n, n))
    _scaled_and_gram(factors, spectrum, item_idx, reg, scaled, system)
    root, solved = np.sqrt((confidence - np.float32(1)).astype(np.float64)), np.zeros(n)
    for i in range(n):
        for j in range(n):
            solved[i] += root[i] * system[i, j] * confidence[j]
    for i in range(n):
        for j in range(n):
            system[i, j] = root[i] * system[i, j] * root[j] + (1.0 if i == j else 0.0)
    cholesky_solve(system, solved)
    taste = np.zeros(f, np.float32)
    for i in range(n):
        taste += np.float32(confidence[i] - root[i] * solved[i]) * scaled[i]
    return taste
