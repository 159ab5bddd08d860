"""Common ground of the item → item fits: interaction matrices, and the best edges of a sparse matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from features.events import DAY_US
from recommender.retrievers.history import damped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.retrievers.history import History
    from training.touches import Touches

MAX_ITEMS_A_CUSTOMER: Final = 500


def customer_items(touches: Touches, n_items: int, history: History) -> sparse.csr_matrix:
    """Customers × items, weighed as :class:`recommender.retrievers.history.History` weighs them, float32.

    The most loved ``MAX_ITEMS_A_CUSTOMER`` items of a customer are kept, which bounds what one customer
    (or one machine that looks like one) can add to a Gram matrix.
    """
    own = touches.of_customers()
    n_customers = len(touches.customer_ids)
    # Rows are sorted by customer and time: the last one of each customer is their last touch.
    last = np.searchsorted(own.customer_idx, np.arange(n_customers), "right") - 1
    age_days = (own.at[last[own.customer_idx]] - own.at) / DAY_US
    weight = history.touch_weights[own.touch] * np.exp2(-age_days / history.half_life_days)
    cells = (weight.astype(np.float32), (own.customer_idx, own.item_idx))
    matrix = sparse.coo_matrix(cells, (n_customers, n_items)).tocsr()
    matrix.eliminate_zeros()
    matrix = best_of_rows(matrix, MAX_ITEMS_A_CUSTOMER)
    matrix.data = damped(matrix.data, history.power)
    return matrix


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


def liked_of(name: str, graph: sparse.csr_matrix, history: History) -> dict[str, NDArray[np.generic]]:
    """Arrays of a :class:`recommender.retrievers.graph.Liked`; empty where the graph has no edge."""
    return {**graph_of(name, graph), f"{name}.params": history.to_array()} if graph.nnz else {}
