"""Compiled loops between a pool and its slate: the best of it, on the common scale, less what is held back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import types

from recommender.items import KINDS
from recommender.kernels import (
    BOOLS,
    BYTES,
    COUNT,
    FLOATS,
    FLOATS_2D,
    INTS,
    OUT_FLOATS,
    OUT_FLOATS_2D,
    OUT_INTS,
    REAL,
    compiled,
    read_only,
    tuple_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.kernels import BoolVector, FloatVector, IntVector

    FloatMatrix = NDArray[np.float32]

REALS, REALS_2D = read_only(types.float64), read_only(types.float64, 2)
OUT_BOOLS: Final[Any] = types.boolean[::1]
N_KINDS: Final = len(KINDS)
SAID: Final[Any] = tuple_of((types.int32[:, ::1], types.float64[:, ::1]))
ON_SCALE: Final[Any] = tuple_of((types.float64[::1], OUT_FLOATS, OUT_FLOATS))


@compiled(types.void(OUT_BOOLS, OUT_INTS, COUNT))
def _mark_best(is_kept: BoolVector, key: IntVector, n: int) -> None:
    """Mark the ``n`` > 0 greatest keys of at least 0; at the cut the first of equals. Those below 0 are passed over."""
    m = 0
    for i in range(len(key)):
        m += key[i] >= 0
    bound, room = np.int32(0), m
    if m > n:
        bound = np.partition(key, len(key) - n)[len(key) - n]
        room = n - (key > bound).sum()
    for i in range(len(key)):
        if key[i] > bound or (key[i] == bound and room > 0):
            room -= key[i] == bound
            is_kept[i] = True


@compiled(OUT_INTS(FLOATS, INTS, BYTES, COUNT, COUNT))
def best_rows(score: FloatVector, item_idx: IntVector, kind: NDArray[np.uint8], n: int, n_each: int) -> IntVector:
    """Rows with the ``n`` greatest positive scores, and with the ``n_each`` greatest of each kind of item, ascending.

    At a cut the first of equals are kept. A score that is no number comes last: the engine holds its item back by name.

    Parameters
    ----------
    score : float32, shape (m,)
    item_idx : int32, shape (m,)
    kind : uint8, shape (n_items,)
    n, n_each : int
        > 0.

    Notes
    -----
    The bits of positive floats, read as whole numbers, are in the order of the floats.
    """
    bits, m = score.view(np.int32), len(score)
    rows, key, is_kept, k = np.empty(m, np.int32), np.empty(m, np.int32), np.zeros(m, np.bool_), 0
    for i in range(m):
        key[i] = bits[i] if score[i] > 0 else (-1 if score[i] <= 0 else 0)
        k += key[i] >= 0
    if k <= n:
        is_kept[:] = key >= 0
    else:
        _mark_best(is_kept, key, n)
        of_kind = np.empty(m, np.int32)
        for one in range(N_KINDS):
            n_kept = 0
            for i in range(m):
                is_one = kind[item_idx[i]] == one
                of_kind[i] = key[i] if is_one else -1
                n_kept += is_one and is_kept[i]
            if n_kept < n_each:  # else its best are there: what is kept of a kind is the best of it
                _mark_best(is_kept, of_kind, n_each)
    k = 0
    for i in range(m):
        if is_kept[i]:
            rows[k] = i
            k += 1
    return rows[:k]


@compiled(ON_SCALE(FLOATS, INTS, BYTES, FLOATS_2D))
def on_scale(
    raw: FloatVector, item_idx: IntVector, kind: NDArray[np.uint8], line: NDArray[np.float32]
) -> tuple[NDArray[np.float64], FloatVector, FloatVector]:
    """Scores on the line of each item's kind, and the intercept and slope of that.

    In float64: what tells two of the least popular items apart is far smaller than the intercept.

    Parameters
    ----------
    kind : uint8, shape (n_items,)
    line : float32, shape (n_kinds, 2)
        Intercept and slope.
    """
    n = len(raw)
    score, intercept, slope = np.empty(n, np.float64), np.empty(n, np.float32), np.empty(n, np.float32)
    for i in range(n):
        of_kind = kind[item_idx[i]]
        intercept[i], slope[i] = line[of_kind, 0], line[of_kind, 1]
        score[i] = np.float64(intercept[i]) + np.float64(slope[i]) * np.float64(raw[i])
    return score, intercept, slope


@compiled(OUT_INTS(INTS, INTS))
def places_without(item_idx: IntVector, left_out: IntVector) -> IntVector:
    """Places of ascending items that are not among some others."""
    n = len(item_idx)
    is_free, places, m = np.ones(n, np.bool_), np.empty(n, np.int32), 0
    for item in left_out:
        at = np.searchsorted(item_idx, item)
        if at < n and item_idx[at] == item:
            is_free[at] = False
    for at in range(n):
        if is_free[at]:
            places[m] = at
            m += 1
    return places[:m]


@compiled(OUT_INTS(REALS_2D, BOOLS))
def loudest(weights: NDArray[np.float64], speaks: BoolVector) -> IntVector:
    """Column of the part that says most for each row; -1 where all are 0.

    What speaks for its row comes before everything that does not, or that says nothing by itself.

    Parameters
    ----------
    weights : float64, shape (n, n_codes)
    speaks : bool, shape (n_codes,)
    """
    found = np.full(len(weights), -1, np.int32)
    for i in range(len(weights)):
        is_heard, most = False, -np.inf
        for column in range(len(speaks)):
            value = weights[i, column]
            speaks_for = value > 0 and speaks[column]
            is_louder = speaks_for > is_heard or (speaks_for == is_heard and value > most)
            if value != 0 and is_louder:
                found[i], is_heard, most = column, speaks_for, value
    return found


@compiled(OUT_FLOATS_2D(FLOATS_2D, FLOATS_2D, FLOATS, COUNT, REAL))
def divided(parts: FloatMatrix, blended: FloatMatrix, blend: FloatVector, at: int, slope: float) -> FloatMatrix:
    """What trees say of some rows, where the blend's part is what each of its sources has in it.

    Parameters
    ----------
    parts : float32, shape (n, n_codes + 1)
        The sources come first.
    blended : float32, shape (n, n_sources)
        Each source's part in the blend's score.
    blend : float32, shape (n,)
        That score.
    at : int
        Column of what trees say because of that score; ``slope`` times the score is added to it.
    """
    shared, n_sources = parts.copy(), blended.shape[1]
    for i in range(len(shared)):
        whole = max(blended[i].sum(), np.float32(1e-12))
        said = shared[i, at] + slope * blend[i]
        shared[i, at] = 0
        for source in range(n_sources):
            shared[i, source] += said * blended[i, source] / whole
    return shared


@compiled(types.float64[:, ::1](FLOATS_2D, INTS, FLOATS, FLOATS, REALS))
def on_common_scale(
    parts: FloatMatrix, rows: IntVector, slope: FloatVector, intercept: FloatVector, lost: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Parts of the score of some rows of a ranking, where the last is the base, by each row's line.

    Parameters
    ----------
    parts : float32, shape (n, n_codes)
    rows : int32, shape (n,)
    slope, intercept : float32, shape (m,)
    lost : float64, shape (m,) or (0,)
        What each row has lost already: a column of its own before the base.
    """
    n, n_codes = parts.shape
    scaled = np.zeros((n, n_codes + (len(lost) > 0)))
    for i in range(n):
        row = rows[i]
        for code in range(n_codes - 1):
            scaled[i, code] = np.float64(slope[row]) * np.float64(parts[i, code])
        if len(lost):
            scaled[i, n_codes - 1] = -lost[row]
        base = np.float64(slope[row]) * np.float64(parts[i, n_codes - 1])
        scaled[i, -1] = base + np.float64(intercept[row])
    return scaled


@compiled(SAID(REALS_2D, BOOLS, COUNT))
def few_of(weights: NDArray[np.float64], speaks: BoolVector, n: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Of each row the ``n`` parts that say most for it, as :func:`loudest`, and the rest of its sum as one.

    A row of at most ``n + 1`` parts is told whole, the greatest first, whether they speak for it or against it.

    Returns
    -------
    column : int32, shape (n_rows, n + 1)
        Of ``weights``; ``n_codes`` for the rest, -1 for nothing.
    value : float64, shape (n_rows, n + 1)
    """
    m, n_codes = weights.shape
    column, value = np.full((m, n + 1), -1, np.int32), np.zeros((m, n + 1))
    for i in range(m):
        is_told, n_parts, rest = weights[i] == 0, 0, 0.0
        for code in range(n_codes):
            n_parts += not is_told[code]
            rest += weights[i, code]
        is_whole = n_parts <= n + 1
        for place in range(n_parts if is_whole else n):
            best, is_heard, most = -1, False, -np.inf
            for code in range(n_codes):
                if is_told[code]:
                    continue
                speaks_for = not is_whole and weights[i, code] > 0 and speaks[code]
                size = abs(weights[i, code]) if is_whole else weights[i, code]
                if best < 0 or speaks_for > is_heard or (speaks_for == is_heard and size > most):
                    best, is_heard, most = code, speaks_for, size
            is_told[best] = True
            column[i, place], value[i, place] = best, weights[i, best]
            rest -= weights[i, best]
        if not is_whole:
            column[i, n], value[i, n] = n_codes, rest
    return column, value
