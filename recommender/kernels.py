"""Compiled loops: what NumPy would spread over many small calls, each longer in overhead than in work.

Compiled once by Numba for the kind of processor at hand and kept beside this file, or in ``NUMBA_CACHE_DIR``.
Arrays come in read-only, as a mapped bundle gives them. The loops trust their indices: those of a bundle
are checked when it is opened, those of a query when it is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

import numba
import numpy as np
from numba import types

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    FloatVector = NDArray[np.float32]
    IntVector = NDArray[np.int32]
    LongVector = NDArray[np.int64]
    BoolVector = NDArray[np.bool_]

P = ParamSpec("P")
R = TypeVar("R")

EVERYTHING: Final = np.empty(0, np.bool_)
"""Stands for a mask that allows every item."""


def read_only(dtype: Any, ndim: int = 1) -> Any:
    """Type of an array that a loop does not write to."""
    return types.Array(dtype, ndim, "C", readonly=True)


tuple_of: Final[Any] = types.Tuple
BOOLS, INTS, LONGS = read_only(types.boolean), read_only(types.int32), read_only(types.int64)
FLOATS, FLOATS_2D = read_only(types.float32), read_only(types.float32, 2)
INTS_2D, BYTES = read_only(types.int32, 2), read_only(types.uint8)
OUT_INTS, OUT_FLOATS, OUT_FLOATS_2D = types.int32[::1], types.float32[::1], types.float32[:, ::1]
RANKED = tuple_of((OUT_INTS, OUT_FLOATS))
"""Items and their scores, best first."""
COUNT = types.int64
MAX_BITS: Final = 0x7FFF_FFFF
LOW_BITS: Final = 0xFFFF_FFFF
WORD: Final = 8
REAL = types.float32


def compiled(signature: Any, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function ahead of its first call, from a cache where one can be kept.

    It keeps the interpreter's lock, since most loops take no longer than handing it over, unless ``nogil`` is given.
    """

    def compile_(function: Callable[P, R]) -> Callable[P, R]:
        try:
            made = numba.njit(signature, cache=True, **options)(function)
        except RuntimeError:  # neither the package's directory nor the user's can be written
            made = numba.njit(signature, **options)(function)
        return cast("Callable[P, R]", made)

    return compile_


def compiled_freely(signature: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The same for sums of floats in whatever order is quickest: one processor rounds as another does not."""
    return compiled(signature, fastmath={"reassoc", "nsz", "contract"})


@compiled(RANKED(INTS, FLOATS, COUNT))
def best_of(item_idx: IntVector, score: FloatVector, n: int) -> tuple[IntVector, FloatVector]:
    """The ``n`` best of unique items, positive and finite scores only; ties by ascending item.

    The bits of positive floats, read as whole numbers, are in the order of the floats. So a score and its item make
    one number each, the best the least, and all of them differ: one sort of those orders by both.

    Parameters
    ----------
    item_idx : int32, shape (m,)
    score : float32, shape (m,)
    """
    bits = score.view(np.int32)
    keys = np.empty(len(score), np.int64)
    m = 0
    for i in range(len(score)):
        if 0 < score[i] < np.inf:
            keys[m] = (np.int64(MAX_BITS - bits[i]) << 32) | item_idx[i]
            m += 1
    keys = keys[:m]
    if m > n:
        keys = np.partition(keys, n)[:n]
    keys = np.sort(keys)
    items, found = np.empty(len(keys), np.int32), np.empty(len(keys), np.int32)
    for i in range(len(keys)):
        items[i], found[i] = keys[i] & LOW_BITS, MAX_BITS - (keys[i] >> 32)
    return items, found.view(np.float32)


@compiled(RANKED(INTS, FLOATS, BOOLS, COUNT))
def first_of(item_idx: IntVector, score: FloatVector, allowed: BoolVector, n: int) -> tuple[IntVector, FloatVector]:
    """The first ``n`` allowed of some ranked items."""
    kept_idx, kept = np.empty(min(n, len(item_idx)), np.int32), np.empty(min(n, len(item_idx)), np.float32)
    m = 0
    for i in range(len(item_idx)):
        if m == len(kept):
            break
        if len(allowed) == 0 or allowed[item_idx[i]]:
            kept_idx[m], kept[m] = item_idx[i], score[i]
            m += 1
    return kept_idx[:m], kept[:m]


@compiled(RANKED(FLOATS, BOOLS, COUNT))
def best_of_all(score: FloatVector, allowed: BoolVector, n: int) -> tuple[IntVector, FloatVector]:
    """The ``n`` best items of a score for every item, shape (n_items,), among those allowed.

    A bound from the maxima of many groups comes first: the n-th greatest of them is at most the n-th
    greatest score, so most items are passed over at one comparison each.
    """
    m = len(score)
    depth = max(1, m // (4 * n + 1))
    maxima = np.zeros((m + depth - 1) // depth, np.float32)
    for group in range(len(maxima)):
        for i in range(group * depth, min(m, (group + 1) * depth)):
            if maxima[group] < score[i] < np.inf and (len(allowed) == 0 or allowed[i]):
                maxima[group] = score[i]
    bound = np.float32(0)
    if len(maxima) > n:
        bound = np.partition(maxima, len(maxima) - n)[len(maxima) - n]
    item_idx, kept = np.empty(m, np.int32), np.empty(m, np.float32)
    found = 0
    for i in range(m):
        if score[i] >= bound and 0 < score[i] < np.inf and (len(allowed) == 0 or allowed[i]):
            item_idx[found], kept[found] = i, score[i]
            found += 1
    return best_of(item_idx[:found], kept[:found], n)


@compiled(RANKED(LONGS, INTS, FLOATS, INTS, FLOATS, BOOLS, COUNT))
def reached(
    indptr: LongVector,
    item_idx: IntVector,
    weight: FloatVector,
    seeds: IntVector,
    share: FloatVector,
    allowed: BoolVector,
    n_items: int,
) -> tuple[IntVector, FloatVector]:
    """All targets of some rows of a sparse matrix as they come, each edge times its row's share, added up.

    Parameters
    ----------
    indptr : int64, shape (n_rows + 1,)
    item_idx, weight : int32 and float32, shape (n_edges,)
    seeds, share : int32 and float32, shape (m,)
        Rows and what each counts.
    allowed : bool, shape (n_items,), or ``EVERYTHING``
    """
    total, is_reached = np.zeros(n_items, np.float32), np.zeros(n_items, np.bool_)
    room = 0
    for row in seeds:
        room += indptr[row + 1] - indptr[row]
    found = np.empty(min(room, n_items), np.int32)
    m = 0
    for s in range(len(seeds)):
        for e in range(indptr[seeds[s]], indptr[seeds[s] + 1]):
            item = item_idx[e]
            if len(allowed) and not allowed[item]:
                continue
            if not is_reached[item]:
                is_reached[item] = True
                found[m] = item
                m += 1
            total[item] += weight[e] * share[s]
    return found[:m], total[found[:m]]


@compiled(RANKED(LONGS, INTS, FLOATS, INTS, FLOATS, BOOLS, COUNT, COUNT))
def spread(
    indptr: LongVector,
    item_idx: IntVector,
    weight: FloatVector,
    seeds: IntVector,
    share: FloatVector,
    allowed: BoolVector,
    n_items: int,
    n: int,
) -> tuple[IntVector, FloatVector]:
    """The ``n`` best of what :func:`reached` finds."""
    found, total = reached(indptr, item_idx, weight, seeds, share, allowed, n_items)
    return best_of(found, total, n)


@compiled(tuple_of((OUT_INTS, OUT_FLOATS))(INTS, FLOATS))
def summed_by_item(item_idx: IntVector, score: FloatVector) -> tuple[IntVector, FloatVector]:
    """Scores of equal items added up: unique items ascending, and their sums, in float64 as they come."""
    order = np.argsort(item_idx, kind="mergesort")
    unique, sums = np.empty(len(order), np.int32), np.zeros(len(order), np.float64)
    m = -1
    for at in order:
        if m < 0 or unique[m] != item_idx[at]:
            m += 1
            unique[m] = item_idx[at]
        sums[m] += score[at]
    return unique[: m + 1], sums[: m + 1].astype(np.float32)


@compiled(tuple_of((OUT_INTS, OUT_FLOATS_2D, OUT_FLOATS))(INTS, FLOATS, LONGS, COUNT))
def united(
    item_idx: IntVector, score: FloatVector, bounds: LongVector, n_items: int
) -> tuple[IntVector, FloatVector, FloatVector]:
    """The union of several ranked lists, and what each says of each item.

    Parameters
    ----------
    item_idx, score : int32 and float32, shape (m,)
        The lists one after the other.
    bounds : int64, shape (n_lists + 1,)

    Returns
    -------
    item_idx : int32, shape (k,), ascending
    parts : float32, shape (k, n_lists)
        Each list's score over its first one; 0 where it does not hold the item.
    best : float32, shape (n_lists,)
        That first one; 0 of an empty list.
    """
    is_there = np.zeros((n_items + WORD - 1) // WORD * WORD, np.bool_)
    for item in item_idx:
        is_there[item] = True
    slot, ascending = np.empty(n_items, np.int32), np.empty(min(n_items, len(item_idx)), np.int32)
    k = 0
    words = is_there.view(np.int64)  # most are 0, and that says it of eight items at once
    for word in range(len(words)):
        if words[word] == 0:
            continue
        for item in range(word * WORD, (word + 1) * WORD):
            if is_there[item]:
                slot[item], ascending[k] = k, item
                k += 1
    ascending = ascending[:k]
    parts, best = np.zeros((k, len(bounds) - 1), np.float32), np.zeros(len(bounds) - 1, np.float32)
    for column in range(len(bounds) - 1):
        for at in range(bounds[column], bounds[column + 1]):
            best[column] = score[bounds[column]]
            parts[slot[item_idx[at]], column] = score[at] / best[column]
    return ascending, parts, best
