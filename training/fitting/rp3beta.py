"""RP3beta: walks item → customer → item, with popular items discounted.

Paudel et al., "Updatable, accurate, diverse, and scalable recommendations for interactive applications",
TiiS 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse

from recommender.retrievers.history import History
from training.fitting.graphs import customer_items, liked_of
from training.fitting.products import Divisor, best_of_product

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector
    from training.touches import Touches


class Rp3BetaParams(NamedTuple):
    """How a walk goes.

    ``alpha`` is the power of each step's probability, ``beta`` how much an item's number of customers counts
    against it: from 0, not at all. ``half_life_days`` and ``power`` are those of
    :class:`recommender.retrievers.history.History`.
    """

    alpha: float = 0.4
    beta: float = 0.2
    n_neighbours: int = 100
    half_life_days: float = 3650.0
    power: float = 0.5
    has_self: bool = True
    is_normal: bool = True


RP3BETA_GRID: Final = (
    Rp3BetaParams(),
    Rp3BetaParams(beta=0.0),
    Rp3BetaParams(alpha=0.6, beta=0.4, n_neighbours=400),
    Rp3BetaParams(beta=0.3, half_life_days=7.0),
    Rp3BetaParams(beta=0.4, half_life_days=30.0),
    Rp3BetaParams(alpha=1.0, beta=0.6, half_life_days=14.0),
    Rp3BetaParams(alpha=1.0, beta=0.6, n_neighbours=200, half_life_days=90.0, power=1.0),
    Rp3BetaParams(beta=0.0, half_life_days=1.0, power=1.0),
)


def fit_rp3beta(
    touches: Touches, n_items: int, params: Rp3BetaParams, touch_weights: FloatVector
) -> dict[str, NDArray[np.generic]]:
    """Where a walk from every item ends, the likeliest items of each; empty where no two items share a customer."""
    history = History(params.half_life_days, params.power, touch_weights)
    matrix = customer_items(touches, n_items, history)
    to_customer, to_item = row_normal(matrix.T.tocsr()), row_normal(matrix)
    to_customer.data **= np.float32(params.alpha)
    to_item.data **= np.float32(params.alpha)
    customers = np.maximum(np.bincount(matrix.indices, minlength=n_items), 1)
    discount = Divisor(np.ones(n_items, np.float32), customers.astype(np.float32) ** np.float32(params.beta), 0.0)
    graph = best_of_product(to_customer, to_item, discount, params.n_neighbours, has_self=params.has_self)
    return liked_of("rp3beta", row_normal(graph) if params.is_normal else graph, history)


def row_normal(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows of positive entries that sum to one."""
    total = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-12)
    return (sparse.diags((1 / total).astype(np.float32)) @ matrix).tocsr()
