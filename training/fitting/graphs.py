"""Common ground of the item → item fits: interaction matrices, and the best edges of a sparse matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from features.events import DAY_US

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector
    from training.touches import Touches

MAX_ITEMS_A_CUSTOMER = 500


def customer_items(
    touches: Touches, n_items: int, touch_weights: FloatVector, half_life_days: float
) -> sparse.csr_matrix:
    """Customers × items, ``sum of w(type) * 2^(-age / half-life)``, float32.

    The most loved ``MAX_ITEMS_A_CUSTOMER`` items of a customer are kept, which bounds what one customer
    (or one machine that looks like one) can add to a Gram matrix.
    """
    own = touches.of_customers()
    weight = touch_weights[own.touch] * np.exp2((own.at - touches.until) / DAY_US / half_life_days)
    shape = (len(touches.customer_ids), n_items)
    matrix = sparse.coo_matrix((weight.astype(np.float32), (own.customer_idx, own.item_idx)), shape).tocsr()
    matrix.eliminate_zeros()
    return best_of_rows(matrix, MAX_ITEMS_A_CUSTOMER)


def best_of_rows(matrix: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """The ``n`` greatest entries of each row; ties by column."""
    matrix.sum_duplicates()
    length = np.diff(matrix.indptr)
    if length.max(initial=0) <= n:
        return matrix
    row = np.repeat(np.arange(matrix.shape[0]), length)
    order = np.lexsort((matrix.indices, -matrix.data, row))
    place = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], length)
    kept = np.sort(order[place < n])
    indptr = np.concatenate([[0], np.cumsum(np.minimum(length, n))])
    return sparse.csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), matrix.shape)


def graph_of(name: str, matrix: sparse.csr_matrix) -> dict[str, NDArray[np.generic]]:
    """A sparse matrix as the arrays of a :class:`recommender.retrievers.graph.Graph`."""
    matrix.sort_indices()
    return {
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.item_idx": matrix.indices.astype(np.int32),
        f"{name}.weight": matrix.data.astype(np.float32),
    }
