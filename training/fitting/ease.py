"""EASE: every item predicted from all others by one ridge regression in closed form.

Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019; with dropout on the inputs as in Steck,
"Autoencoders that don't overfit towards the identity", NeurIPS 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from recommender.retrievers.history import History
from training.fitting.graphs import customer_items, liked_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector
    from training.touches import Touches

MAX_ITEMS: Final = 8_000
MIN_CUSTOMERS: Final = 2
N_EDGES: Final = 200
N_THREADS: Final = 2
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
    EaseParams(reg=300.0, dropout=0.6),
    EaseParams(reg=30.0, half_life_days=7.0),
    EaseParams(reg=300.0, half_life_days=60.0),
)


def fit_ease(
    touches: Touches, n_items: int, params: EaseParams, touch_weights: FloatVector
) -> dict[str, NDArray[np.generic]]:
    """The strongest weights from every item, negative ones too.

    Empty where no two items share a customer, or where more than ``max_items`` items have two customers: time
    grows with their third power, memory with their square (4 bytes each).
    """
    history = History(params.half_life_days, params.power, touch_weights)
    matrix = customer_items(touches, n_items, history)
    known = np.flatnonzero(np.bincount(matrix.indices, minlength=n_items) >= MIN_CUSTOMERS)
    if not 1 < len(known) <= params.max_items:
        return {}
    weights = strongest(regression(matrix[:, known], params), N_EDGES)
    return liked_of("ease", placed(weights, known, n_items), history)


def regression(matrix: sparse.csr_matrix, params: EaseParams) -> FloatMatrix:
    """Weight from each item (row) to each other (column), float32; the diagonal is zero."""
    gram = (matrix.T @ matrix).toarray(order="F")
    diagonal = gram.diagonal()
    np.fill_diagonal(gram, diagonal + params.reg + params.dropout / (1 - params.dropout) * diagonal)
    with threadpool_limits(N_THREADS, "blas"):
        lower, _ = lapack.spotrf(gram, lower=1, clean=0, overwrite_a=1)
        inverse, _ = lapack.spotri(lower, lower=1, overwrite_c=1)
    _mirror(inverse)
    weights: FloatMatrix = inverse.T
    weights /= -weights.diagonal().copy()
    np.fill_diagonal(weights, 0)
    return weights


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
