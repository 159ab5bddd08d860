"""EASE: every item predicted from all others by one ridge regression in closed form.

Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019; with dropout on the inputs as in Steck,
"Autoencoders that don't overfit towards the identity", NeurIPS 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from recommender.retrievers.history import History
from training.fitting.graphs import customer_items, liked_of
from training.spread import blas_threads, n_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector
    from training.touches import Touches

MAX_ITEMS: Final = 8_000
MORE_BY_CUSTOMERS: Final = 4
"""By so much more items may be when customers are few: each costs a row of all, not a row and a column inverted."""
MIN_CUSTOMERS: Final = 2
N_EDGES: Final = 6_000_000
"""Weights of all items together (8 bytes each), where an item then keeps no fewer and no more than the next two."""
LEAST_EDGES: Final = 200
MOST_EDGES: Final = 1_000
BLOCK: Final = 1024


class EaseParams(NamedTuple):
    """How the regression is held back.

    ``reg`` is the L2 weight; ``dropout`` the share of inputs that are hidden, which adds
    ``dropout / (1 - dropout)`` of each item's own count to it. ``half_life_days`` and ``power`` are those of
    :class:`recommender.retrievers.history.History`.
    """

    reg: float = 100.0
    dropout: float = 0.5
    half_life_days: float = 3650.0
    power: float = 0.5
    max_items: int = MAX_ITEMS


EASE_GRID: Final = (
    EaseParams(),
    EaseParams(reg=30.0),
    EaseParams(reg=300.0, dropout=0.6),
    EaseParams(reg=1_000.0),
    EaseParams(reg=30.0, half_life_days=7.0),
    EaseParams(reg=300.0, half_life_days=60.0),
)


def fit_ease(
    touches: Touches, n_items: int, params: EaseParams, touch_weights: FloatVector
) -> dict[str, NDArray[np.generic]]:
    """The strongest weights from every item, negative ones too; empty where no two items share a customer.

    Time grows with the third power and memory with the square (4 bytes each) of the smaller of two numbers: items
    with two customers, and customers with two such items. Where both are above ``max_items``, only the most common
    ``max_items`` of the items are regressed on each other; by way of few customers, four times as many.
    """
    history = History(params.half_life_days, params.power, touch_weights)
    matrix = customer_items(touches, n_items, history)
    count = np.bincount(matrix.indices, minlength=n_items)
    known = np.flatnonzero(count >= MIN_CUSTOMERS)
    n_shared = int((np.diff(matrix[:, known].indptr) > 1).sum())
    limit = params.max_items * (1 if n_shared > params.max_items else MORE_BY_CUSTOMERS)
    if len(known) > limit:
        known = np.sort(known[np.argsort(-count[known], kind="stable")[:limit]])
    if len(known) < MIN_CUSTOMERS or not n_shared:
        return {}
    chosen = matrix[:, known]
    if n_shared < len(known):
        weights = by_customers(chosen, params)
    else:
        weights = strongest(regression(chosen, params), edges_of(len(known)))
    return liked_of("ease", placed(weights, known, n_items), history)


def edges_of(n_items: int) -> int:
    """How many weights an item keeps."""
    return min(max(N_EDGES // n_items, LEAST_EDGES), MOST_EDGES)


def regression(matrix: sparse.csr_matrix, params: EaseParams) -> FloatMatrix:
    """Weight from each item (row) to each other (column), float32; the diagonal is zero."""
    gram = (matrix.T @ matrix).toarray(order="F")
    np.fill_diagonal(gram, gram.diagonal() + _ridge(matrix, params))
    weights: FloatMatrix = _inverted(gram).T
    weights /= -weights.diagonal().copy()
    np.fill_diagonal(weights, 0)
    return weights


def by_customers(matrix: sparse.csr_matrix, params: EaseParams) -> sparse.csr_matrix:
    """The strongest weights of the same regression, by way of a matrix of customers × customers.

    With ``R`` the ridge, ``S`` the rows of customers with two items or more, and ``D`` the inverse of ``R`` plus what
    the other rows add to the diagonal, the inverse of the Gram matrix plus ``R`` is ``D - D Sᵀ (1 + S D Sᵀ)⁻¹ S D``
    (Woodbury, "Inverting modified matrices", 1950).
    """
    size = np.diff(matrix.indptr)
    diagonal = 1 / (_ridge(matrix, params) + _squares(matrix[size == 1]))
    shared = matrix[size > 1]
    scaled = (shared @ sparse.diags(diagonal)).astype(np.float32).tocsr()
    core = (scaled @ shared.T).toarray(order="F").astype(np.float32, copy=False)
    np.fill_diagonal(core, core.diagonal() + 1)
    inverse = _inverted(core).T  # which is the same, in the order of rows
    items = scaled.T.tocsr()
    starts = range(0, matrix.shape[1], BLOCK)
    # Entries of the diagonal first: a weight is divided by that of the item that it leads to.
    pivot = diagonal - np.concatenate([_row_sums(items[a : a + BLOCK], inverse) for a in starts])
    blocks = []
    for a in starts:
        block = (items @ np.ascontiguousarray((items[a : a + BLOCK] @ inverse).T)).T / pivot
        block[np.arange(len(block)), np.arange(a, a + len(block))] = 0
        blocks.append(strongest(np.ascontiguousarray(block, np.float32), edges_of(len(pivot))))
    return sparse.vstack(blocks, format="csr")


def _row_sums(rows: sparse.csr_matrix, inverse: FloatMatrix) -> FloatVector:
    """``x A xᵀ`` of every row x."""
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    products = (rows @ inverse)[row, rows.indices]
    found: FloatVector = np.bincount(row, rows.data * products, minlength=rows.shape[0]).astype(np.float32)
    return found


def _ridge(matrix: sparse.csr_matrix, params: EaseParams) -> FloatVector:
    """What is added to the diagonal of the Gram matrix."""
    ridge: FloatVector = params.reg + params.dropout / (1 - params.dropout) * _squares(matrix)
    return ridge


def _squares(matrix: sparse.csr_matrix) -> FloatVector:
    """The diagonal of the Gram matrix."""
    found: FloatVector = np.bincount(matrix.indices, matrix.data**2, minlength=matrix.shape[1]).astype(np.float32)
    return found


def _inverted(matrix: FloatMatrix) -> FloatMatrix:
    """The inverse of a positive definite float32 matrix in Fortran's order, in its place."""
    with blas_threads(n_threads()):
        lower, _ = lapack.spotrf(matrix, lower=1, clean=0, overwrite_a=1)
        inverse, _ = lapack.spotri(lower, lower=1, overwrite_c=1)
    _mirror(inverse)
    found: FloatMatrix = inverse
    return found


def strongest(weights: FloatMatrix, n: int) -> sparse.csr_matrix:
    """The ``n`` entries of each row that are greatest in size."""
    n = min(n, weights.shape[1])
    blocks = []
    for start in range(0, len(weights), BLOCK):
        block = weights[start : start + BLOCK]
        column = np.sort(np.argpartition(-np.abs(block), n - 1, axis=1)[:, :n], axis=1)
        indptr = np.arange(len(block) + 1) * n
        values = np.take_along_axis(block, column, axis=1)
        blocks.append(sparse.csr_matrix((values.ravel(), column.ravel(), indptr), block.shape))
    found = sparse.vstack(blocks, format="csr")
    found.eliminate_zeros()
    return found


def placed(weights: sparse.csr_matrix, known: NDArray[np.integer], n_items: int) -> sparse.csr_matrix:
    """The same among all items, of which rows and columns are some."""
    edges = weights.tocoo()
    return sparse.csr_matrix((edges.data, (known[edges.row], known[edges.col])), (n_items, n_items))


def _mirror(lower: FloatMatrix) -> None:
    """Copy what is below the diagonal to above it, in blocks, so that no second matrix is needed."""
    n = len(lower)
    for start in range(0, n, BLOCK):
        stop = min(n, start + BLOCK)
        lower[start:stop, stop:] = lower[stop:, start:stop].T
        corner = np.tril(lower[start:stop, start:stop])
        lower[start:stop, start:stop] = corner + np.tril(corner, -1).T
