"""Item neighbours over whole histories: cosine with shrinkage, or RP3beta, whichever validation prefers.

Cosine: Sarwar et al. 2001. RP3beta: Paudel et al., "Updatable, accurate, diverse, and scalable
recommendations for interactive applications", TiiS 2017: three-step random walks, items discounted by
popularity to the power beta.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from scipy import sparse

from training.fitting.graphs import best_of_rows, customer_items, graph_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector
    from training.touches import Touches

N_NEIGHBOURS: Final = 200
BLOCK: Final = 1024


class NeighbourParams(NamedTuple):
    """How neighbours are measured; half-life in days.

    ``shrink`` belongs to the cosine; ``alpha`` (how sharply a walk follows weights) and ``beta`` to RP3beta.
    ``power`` damps the weights of the customer's own items when they are looked up.
    """

    measure: Literal["cosine", "rp3beta"] = "cosine"
    shrink: float = 10.0
    alpha: float = 0.7
    beta: float = 0.3
    half_life_days: float = 60.0
    power: float = 0.5


def fit_neighbours(
    touches: Touches, n_items: int, params: NeighbourParams, touch_weights: FloatVector
) -> dict[str, NDArray[np.generic]]:
    """Best neighbours of every item; empty where no two items share a customer."""
    matrix = customer_items(touches, n_items, touch_weights, params.half_life_days)
    np.log1p(matrix.data, out=matrix.data)
    left, right = _cosine(matrix) if params.measure == "cosine" else _rp3beta(matrix, params)
    blocks = []
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0))).ravel()
    for start in range(0, n_items, BLOCK):
        block = (left[start : start + BLOCK] @ right).tocsr()
        if params.measure == "cosine":
            _shrink(block, norm[start : start + BLOCK], norm, params.shrink)
        _drop_self(block, start)
        blocks.append(best_of_rows(block, N_NEIGHBOURS))
    graph = sparse.vstack(blocks, format="csr") if blocks else sparse.csr_matrix((0, 0), dtype=np.float32)
    if not graph.nnz:
        return {}
    head = np.array([params.half_life_days, params.power, *touch_weights], np.float32)
    return {**graph_of("neighbours", graph), "neighbours.params": head}


def _cosine(matrix: sparse.csr_matrix) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    return matrix.T.tocsr(), matrix


def _shrink(block: sparse.csr_matrix, norm_rows: FloatVector, norm_columns: FloatVector, shrink: float) -> None:
    """``c_ij / (|i| |j| + shrink / 100 * mean square norm)`` in place, so that ``shrink`` has no unit."""
    unit = float(np.mean(norm_columns[norm_columns > 0] ** 2)) if (norm_columns > 0).any() else 1.0
    rows = np.repeat(norm_rows, np.diff(block.indptr))
    block.data /= (rows * norm_columns[block.indices] + shrink * unit / 100).astype(np.float32)


def _rp3beta(matrix: sparse.csr_matrix, params: NeighbourParams) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    to_customer = _row_normal(matrix.T.tocsr(), params.alpha)
    to_item = _row_normal(matrix, params.alpha)
    popularity = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1)
    return to_customer, (to_item @ sparse.diags((popularity ** -float(params.beta)).astype(np.float32))).tocsr()


def _row_normal(matrix: sparse.csr_matrix, alpha: float) -> sparse.csr_matrix:
    """Rows that sum to one, each to the power alpha."""
    total = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-12)
    normal = (sparse.diags((1 / total).astype(np.float32)) @ matrix).tocsr()
    normal.data **= np.float32(alpha)
    return normal


def _drop_self(block: sparse.csr_matrix, start: int) -> None:
    rows = np.repeat(np.arange(start, start + block.shape[0]), np.diff(block.indptr))
    block.data[block.indices == rows] = 0
    block.eliminate_zeros()
