"""Who resembles whom by whole histories, and what they touch now, for ``recommender/retrievers/kindred.py``.

A random walk item → customer → item as P3 (Cooper et al. 2014), whose second step fades with age while the
first does not. With a long half-life it is an ordinary item-kNN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse

from features.events import DAY_US
from training.fitting.graphs import best_of_rows, graph_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.touches import Touches

N_EDGES: Final = 100
MAX_ITEMS_A_CUSTOMER: Final = 500
MIN_SHARE: Final = 1e-9
"""Decayed weights below it are forgotten: at short half-lives that is nearly all of the log."""


class KindredParams(NamedTuple):
    """Half-life of the last step in days; ``power`` of a customer's number of items that divides their say."""

    half_life_days: float = 7.0
    power: float = 0.5


KINDRED_GRID: Final = (
    KindredParams(),
    *(KindredParams(half_life_days=days) for days in (0.25, 0.5, 1.0, 3.0, 14.0, 60.0, 3650.0)),
    KindredParams(half_life_days=0.25, power=1.0),
)


def fit_kindred(touches: Touches, n_items: int, params: KindredParams) -> dict[str, NDArray[np.generic]]:
    """Edges i → j: ``sum over customers of both of 2^(-age of j / half-life) / sqrt(n_i) / n_customer^power``.

    ``n_i`` is the number of customers of i, so that a rare item says more; empty where no customer has two items.
    """
    ever, now = _histories(touches.of_customers(), n_items, params.half_life_days)
    n_items_of = np.maximum(1, np.diff(ever.indptr))
    n_customers_of = np.maximum(1, np.bincount(ever.indices, minlength=n_items))
    say = sparse.diags((n_items_of**-params.power).astype(np.float32))
    rarity = sparse.diags((n_customers_of**-0.5).astype(np.float32))
    matrix = (rarity @ (ever.T @ (say @ now))).tocsr()
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    return graph_of("kindred", best_of_rows(matrix, N_EDGES)) if matrix.nnz else {}


def _histories(own: Touches, n_items: int, half_life_days: float) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Each customer's last items as ones, and by the decayed weight of their last touch; customers × items."""
    last = _last_touches(own)
    weight = np.exp2((last.at - own.until) / DAY_US / half_life_days)
    is_recent = weight >= MIN_SHARE * weight.max(initial=0)
    shape, pair = (len(own.customer_ids), n_items), (last.customer_idx, last.item_idx)
    ever = sparse.csr_matrix((np.ones(len(last), np.float32), pair), shape)
    recent = (last.customer_idx[is_recent], last.item_idx[is_recent])
    return ever, sparse.csr_matrix((weight[is_recent].astype(np.float32), recent), shape)


def _last_touches(own: Touches) -> Touches:
    """The last touch of each item by each customer, for the last ``MAX_ITEMS_A_CUSTOMER`` items of each."""
    order = np.lexsort((own.at, own.item_idx, own.customer_idx))
    is_last = np.ones(len(order), np.bool_)
    customer, item = own.customer_idx[order], own.item_idx[order]
    is_last[:-1] = (customer[1:] != customer[:-1]) | (item[1:] != item[:-1])
    last = own.where(np.sort(order[is_last]))
    from_end = np.searchsorted(last.customer_idx, last.customer_idx, side="right") - np.arange(len(last))
    return last.where(from_end <= MAX_ITEMS_A_CUSTOMER)
