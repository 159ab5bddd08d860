"""Directed co-visits with time decay: item a before item b of the same customer.

Sequential rules (Ludewig and Jannach 2018) weigh a pair by one over its distance in steps; here also by
its age, and a pair counts only within a window of time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse

from features.events import DAY_US
from recommender.contract import TOUCHES
from training.fitting.graphs import best_of_rows, graph_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from training.touches import Touches

MAX_STEPS: Final = 12
N_EDGES: Final = 60
MAX_BASKET: Final = 60


class Relation(NamedTuple):
    """Which touches a co-visit runs from and to."""

    name: str
    from_touches: tuple[str, ...]
    to_touches: tuple[str, ...]


RELATIONS: Final = (
    Relation("viewed_next", ("views", "carts", "buys"), ("views", "carts", "buys")),
    Relation("viewed_bought", ("views", "carts"), ("carts", "buys")),
    Relation("read_next", ("reads", "likes"), ("reads", "likes")),
    Relation("read_bought", ("reads",), ("views", "carts", "buys")),
)


def fit_covisit(
    touches: Touches, n_items: int, relation: Relation, *, window_days: float, half_life_days: float
) -> dict[str, NDArray[np.generic]]:
    """Edges of one relation; empty where no such pair exists.

    The weight of an edge is ``sum of 2^(-age / half-life) / steps``, over the sum of its row, so that a
    popular seed does not outshout the others.
    """
    own = touches.of_customers()
    own = own.where(_is_any(own.touch, {*relation.from_touches, *relation.to_touches}))
    parts = list(_pairs(own, relation, n_items, int(window_days * DAY_US), half_life_days))
    matrix = sum(parts[1:], parts[0]) if parts else sparse.csr_matrix((n_items, n_items), dtype=np.float32)
    return _edges(relation.name, matrix.tocsr())


def fit_bought_together(
    touches: Touches, n_items: int, *, window_days: float, half_life_days: float
) -> dict[str, NDArray[np.generic]]:
    """Edges between items of one basket, and from a basket to the same customer's next one within the window.

    A basket is what a customer bought on one day; a pair counts one over the size of the basket it starts in.
    """
    own = touches.of_customers()
    own = own.where(_is_any(own.touch, {"buys"}))
    if not len(own):
        return {}
    day = own.at // DAY_US
    is_new = np.ones(len(own), np.bool_)
    is_new[1:] = (own.customer_idx[1:] != own.customer_idx[:-1]) | (day[1:] != day[:-1])
    basket = np.cumsum(is_new) - 1
    first = np.flatnonzero(is_new)
    shape = (len(first), n_items)
    bought = sparse.csr_matrix((np.ones(len(own), np.float32), (basket, own.item_idx)), shape)
    bought.sum_duplicates()
    bought.data[:] = 1
    bought = best_of_rows(bought, MAX_BASKET)
    age = np.exp2((own.at[first] - touches.until) / DAY_US / half_life_days)
    share = age / np.maximum(1, np.diff(bought.indptr))
    matrix = bought.T @ sparse.diags(share.astype(np.float32)) @ bought
    gap = np.diff(own.at[first])
    follows = np.flatnonzero((np.diff(own.customer_idx[first]) == 0) & (gap <= window_days * DAY_US))
    if len(follows):
        matrix = (
            matrix + 0.5 * bought[follows].T @ sparse.diags(share[follows].astype(np.float32)) @ bought[follows + 1]
        )
    return _edges("bought_together", matrix.tocsr().astype(np.float32))


def _pairs(
    own: Touches, relation: Relation, n_items: int, window_us: int, half_life_days: float
) -> Iterable[sparse.csr_matrix]:
    is_from, is_to = _is_any(own.touch, set(relation.from_touches)), _is_any(own.touch, set(relation.to_touches))
    for step in range(1, min(MAX_STEPS, len(own) - 1) + 1):
        a, b = slice(None, -step), slice(step, None)
        gap = own.at[b] - own.at[a]
        keep = (own.customer_idx[a] == own.customer_idx[b]) & (gap <= window_us)
        keep &= (own.item_idx[a] != own.item_idx[b]) & is_from[a] & is_to[b]
        if keep.any():
            weight = np.exp2((own.at[b][keep] - own.until) / DAY_US / half_life_days) / step
            pair = (own.item_idx[a][keep], own.item_idx[b][keep])
            yield sparse.csr_matrix((weight.astype(np.float32), pair), (n_items, n_items))


def _edges(name: str, matrix: sparse.csr_matrix) -> dict[str, NDArray[np.generic]]:
    matrix.setdiag(0)
    matrix.eliminate_zeros()
    if not matrix.nnz:
        return {}
    total = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-12)
    return graph_of(name, best_of_rows(sparse.diags((1 / total).astype(np.float32)) @ matrix, N_EDGES).tocsr())


def _is_any(touch: NDArray[np.uint8], names: set[str]) -> NDArray[np.bool_]:
    return np.isin(touch, [TOUCHES.index(name) for name in names])
