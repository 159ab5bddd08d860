"""The best entries of each row of a product of two sparse matrices, which as a whole would not fit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import types
from scipy import sparse

from recommender.kernels import COUNT, FLOATS, INTS, LONGS, best_of, compiled
from training.spread import n_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from recommender.contract import FloatVector, IntVector, LongVector

N_SPANS: Final = 32


class Divisor(NamedTuple):
    """What entry (i, j) of a product is divided by: ``by_row[i] * by_column[j] + pull``, > 0 where it is not 0."""

    by_row: FloatVector
    by_column: FloatVector
    pull: float


def best_of_product(
    left: sparse.csr_matrix, right: sparse.csr_matrix, divisor: Divisor, n: int, *, has_self: bool
) -> sparse.csr_matrix:
    """The ``n`` greatest positive entries of each row of ``left @ right``, divided; ties by column.

    Parameters
    ----------
    left, right : float32, shapes (n_rows, k) and (k, n_columns)
    has_self : bool
        Whether entries on the diagonal count.
    """
    shape = (left.shape[0], right.shape[1])
    columns = np.empty((shape[0], min(n, shape[1])), np.int32)
    values = np.empty(columns.shape, np.float32)
    length = np.zeros(shape[0], np.int64)
    factors = (*_arrays_of(left), *_arrays_of(right), *divisor)

    def fill(first: int, last: int) -> None:
        best_of_span(*factors, has_self, first, last, columns, values, length)

    in_spans(left.indptr, fill)
    kept = np.arange(columns.shape[1]) < length[:, None]
    indptr = np.concatenate([[0], np.cumsum(length)])
    found = sparse.csr_matrix((values[kept], columns[kept], indptr), shape)
    found.sort_indices()
    return found


def in_spans(indptr: LongVector, work: Callable[[int, int], None]) -> None:
    """Call ``work(first, last)`` for spans of rows with about equally many rows and entries, a thread a core."""
    load = indptr + np.arange(len(indptr))
    cuts = np.unique(np.searchsorted(load, np.linspace(0, load[-1], N_SPANS + 1))).tolist()
    with ThreadPoolExecutor(n_threads()) as pool:
        list(pool.map(work, cuts[:-1], cuts[1:]))


def _arrays_of(matrix: sparse.csr_matrix) -> tuple[LongVector, IntVector, FloatVector]:
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float32)


MATRIX: Final = (LONGS, INTS, FLOATS)


@compiled(
    types.void(
        *MATRIX,
        *MATRIX,
        FLOATS,
        FLOATS,
        types.float64,
        types.boolean,
        COUNT,
        COUNT,
        types.int32[:, ::1],
        types.float32[:, ::1],
        types.int64[::1],
    ),
    nogil=True,
)
def best_of_span(  # noqa: PLR0913, PLR0917 - a compiled loop takes its arrays one by one
    left_indptr: LongVector,
    left_column: IntVector,
    left_value: FloatVector,
    right_indptr: LongVector,
    right_column: IntVector,
    right_value: FloatVector,
    by_row: FloatVector,
    by_column: FloatVector,
    pull: float,
    has_self: bool,  # noqa: FBT001
    first: int,
    last: int,
    columns: IntVector,
    values: FloatVector,
    length: LongVector,
) -> None:
    """Rows ``[first, last)`` into ``columns`` and ``values``, shape (n_rows, n), row by row (Gustavson 1978)."""
    total = np.zeros(len(by_column), np.float32)
    reached = np.empty(len(by_column), np.int32)
    is_reached = np.zeros(len(by_column), np.bool_)
    for row in range(first, last):
        m = 0
        for at in range(left_indptr[row], left_indptr[row + 1]):
            middle = left_column[at]
            for to in range(right_indptr[middle], right_indptr[middle + 1]):
                column = right_column[to]
                if not is_reached[column]:
                    is_reached[column] = True
                    reached[m] = column
                    m += 1
                total[column] += left_value[at] * right_value[to]
        score = np.empty(m, np.float32)
        for i in range(m):
            column = reached[i]
            score[i] = total[column] / (by_row[row] * by_column[column] + pull)
            if column == row and not has_self:
                score[i] = 0
            total[column] = 0
            is_reached[column] = False
        best_column, best_score = best_of(reached[:m], score, values.shape[1])
        length[row] = len(best_column)
        columns[row, : len(best_column)] = best_column
        values[row, : len(best_column)] = best_score
