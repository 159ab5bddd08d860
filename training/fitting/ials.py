"""Exact iALS on two cores: alternating least squares with frequency-scaled regularisation.

Before each half the fixed side is turned so that its Gram matrix is diagonal, which leaves every score as it
is. Its inverse, whatever the regularisation, is then a division, and a row with fewer entries than factors
costs a system of the size of its entries (Woodbury 1950) in place of one of the size of the factors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numba
import numpy as np
from numba import types

from recommender.kernels import COUNT, FLOATS, FLOATS_2D, INTS, LONGS, compiled
from training.fitting.products import in_spans
from training.spread import blas_threads

if TYPE_CHECKING:
    from scipy import sparse

    from recommender.contract import FloatMatrix, FloatVector, IntVector, LongVector

INIT_DEVIATION: Final = 0.1


class Factors(NamedTuple):
    """Both sides of a factorisation, float32, shapes (n_rows, n_factors) and (n_columns, n_factors)."""

    rows: FloatMatrix
    columns: FloatMatrix


def alternate(
    matrix: sparse.csr_matrix,
    n_factors: int,
    *,
    reg_rows: FloatVector,
    reg_columns: FloatVector,
    n_iterations: int,
    seed: int,
) -> Factors:
    """Minimise ``sum_all (y_c . x_r)^2 + sum_seen (e (1 - y.x)^2 + 1 - 2 y.x) + L2``, each side in turn.

    Parameters
    ----------
    matrix : float32, shape (n_rows, n_columns)
        Confidence less one of what was seen, > 0.
    reg_rows, reg_columns : float32
        L2 weight of each row and column, > 0.

    Notes
    -----
    Hu, Koren and Volinsky 2008; Rendle et al. 2022. A row without entries is zero. The columns come out turned
    so that their Gram matrix is diagonal.
    """
    rng = np.random.default_rng(seed)
    shape = (matrix.shape[1], n_factors)
    columns = rng.normal(0, INIT_DEVIATION / np.sqrt(n_factors), shape).astype(np.float32)
    transposed = matrix.T.tocsr()
    rows = np.zeros((matrix.shape[0], n_factors), np.float32)
    for _ in range(n_iterations):
        rows = solve_rows(matrix, turned(columns), reg_rows)
        columns = solve_rows(transposed, turned(rows), reg_columns)
    columns = turned(columns)
    return Factors(solve_rows(matrix, columns, reg_rows), columns)


def turned(factors: FloatMatrix) -> FloatMatrix:
    """The same points on axes that make ``factors.T @ factors`` diagonal; the strongest axis last."""
    gram = factors.T.astype(np.float64) @ factors
    _, axes = np.linalg.eigh(gram)
    return np.ascontiguousarray(factors @ axes.astype(np.float32))


def spectrum_of(factors: FloatMatrix) -> FloatVector:
    """Diagonal of ``factors.T @ factors``, float32, shape (n_factors,)."""
    diagonal: FloatVector = np.einsum("ij,ij->j", factors, factors, dtype=np.float64).astype(np.float32)
    return diagonal


def solve_rows(matrix: sparse.csr_matrix, fixed: FloatMatrix, reg: FloatVector) -> FloatMatrix:
    """The best factors of every row while the other side is fixed, float32, shape (n_rows, n_factors).

    Parameters
    ----------
    matrix : float32, shape (n_rows, n_fixed)
    fixed : float32, shape (n_fixed, n_factors)
        Turned.
    reg : float32, shape (n_rows,)
    """
    indptr, column = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    out = np.zeros((matrix.shape[0], fixed.shape[1]), np.float32)
    spectrum = spectrum_of(fixed)

    def solve(first: int, last: int) -> None:
        solve_span(indptr, column, matrix.data, fixed, spectrum, reg, first, last, out)

    with blas_threads(1):
        in_spans(indptr, solve)
    return out


@numba.njit(cache=True)
def _by_entries(seen: FloatMatrix, surplus: FloatVector, diagonal: FloatVector) -> FloatVector:
    root: Any = np.sqrt(surplus)
    scaled: Any = seen / np.sqrt(diagonal)
    for i in range(len(root)):
        scaled[i] *= root[i]
    small: Any = scaled @ scaled.T
    for i in range(len(root)):
        small[i, i] += np.float32(1)
    solution = _cholesky_solve(small, root + np.float32(1) / root)
    solved: FloatVector = (solution @ scaled) / np.sqrt(diagonal)
    return solved


@numba.njit(cache=True)
def _by_factors(seen: FloatMatrix, surplus: FloatVector, diagonal: FloatVector) -> FloatVector:
    wanted: Any = (surplus + np.float32(1)) @ seen
    scaled = np.empty_like(seen)
    for i in range(len(surplus)):
        scaled[i] = seen[i] * np.sqrt(surplus[i])
    normal: Any = scaled.T @ scaled
    for i in range(len(diagonal)):
        normal[i, i] += diagonal[i]
    return _cholesky_solve(normal, wanted)


@numba.njit(cache=True)
def _cholesky_solve(matrix: FloatMatrix, right: FloatVector) -> FloatVector:
    n = len(right)
    lower = np.linalg.cholesky(matrix)
    x = right.copy()
    for i in range(n):
        for k in range(i):
            x[i] -= lower[i, k] * x[k]
        x[i] /= lower[i, i]
    for i in range(n - 1, -1, -1):
        x[i] /= lower[i, i]
        for k in range(i):
            x[k] -= lower[i, k] * x[i]
    return x


@compiled(types.void(LONGS, INTS, FLOATS, FLOATS_2D, FLOATS, FLOATS, COUNT, COUNT, types.float32[:, ::1]), nogil=True)
def solve_span(
    indptr: LongVector,
    column: IntVector,
    surplus: FloatVector,
    fixed: FloatMatrix,
    spectrum: FloatVector,
    reg: FloatVector,
    first: int,
    last: int,
    out: FloatMatrix,
) -> None:
    """Solve rows ``[first, last)`` into ``out``: as ``recommender.retrievers.als.fold_in``, by Cholesky."""
    n_factors = fixed.shape[1]
    for row in range(first, last):
        a, b = indptr[row], indptr[row + 1]
        if a == b:
            continue
        seen = np.empty((b - a, n_factors), np.float32)
        for i in range(b - a):
            seen[i] = fixed[column[a + i]]
        diagonal = spectrum + reg[row]
        if b - a < n_factors:
            out[row] = _by_entries(seen, surplus[a:b], diagonal)
        else:
            out[row] = _by_factors(seen, surplus[a:b], diagonal)
