"""Directed co-visits with time decay: item a before item b of the same customer.

Sequential rules (Ludewig and Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 2018)
weigh a pair by one over its distance in steps; here also by its age, and a pair counts only within a window
of time. ``SEQUENTIAL_RULES`` are the plain ones.
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

N_EDGES: Final = 60
MAX_BASKET: Final = 60
FOREVER: Final = 3650.0


class CovisitParams(NamedTuple):
    """How pairs are counted and looked up; window and half-life in days.

    A pair at most ``n_steps`` touches apart counts ``steps^-step_power``, and in the other direction
    ``backward`` times that where both ends are touches of the same types. A row is divided by its sum to
    ``row_power``: 1 lets every seed say as much as the others, 0 the popular ones more. ``recency`` is the
    weight of a seed over that of the next newer one (0: the newest alone); ``repeats`` whether coming back
    to an item is a pair.
    """

    window_days: float = 1.0
    half_life_days: float = 30.0
    n_steps: int = 12
    step_power: float = 1.0
    backward: float = 0.3
    row_power: float = 0.5
    recency: float = 0.7
    repeats: bool = False


SEQUENTIAL_RULES: Final = CovisitParams(
    window_days=FOREVER, half_life_days=FOREVER, backward=0.0, row_power=0.0, recency=0.0, repeats=True
)
_FADING: Final = CovisitParams(window_days=FOREVER, backward=0.0, row_power=1.0)
_TIMELESS: Final = CovisitParams(window_days=FOREVER, half_life_days=FOREVER, recency=0.5)
COVISIT_GRID: Final = (
    CovisitParams(),
    CovisitParams(window_days=1 / 48, backward=0.5, row_power=0.7, recency=0.5),
    CovisitParams(repeats=True),
    _TIMELESS._replace(backward=0.1),
    _TIMELESS._replace(step_power=0.5),
    CovisitParams(window_days=FOREVER, recency=0.9),
    _FADING._replace(half_life_days=7.0, step_power=0.5),
    _FADING._replace(half_life_days=3.0, step_power=0.5),
    _FADING._replace(half_life_days=3.0, step_power=0.0, n_steps=30),
    SEQUENTIAL_RULES,
)
"""Browsing, logs without a clock, wide tastes, content that ages fast, and the plain rules."""


class Relation(NamedTuple):
    """Which touches a co-visit runs from and to."""

    name: str
    from_touches: tuple[str, ...]
    to_touches: tuple[str, ...]

    @property
    def is_symmetric(self) -> bool:
        """Whether a pair says something the other way round, too."""
        return self.from_touches == self.to_touches


RELATIONS: Final = (
    Relation("viewed_next", ("views", "carts", "buys"), ("views", "carts", "buys")),
    Relation("read_next", ("reads", "likes"), ("reads", "likes")),
    Relation("read_bought", ("reads",), ("views", "carts", "buys")),
)


def fit_covisit(
    touches: Touches, n_items: int, relation: Relation, params: CovisitParams
) -> dict[str, NDArray[np.generic]]:
    """Edges of one relation; empty where no such pair exists.

    The weight of an edge is ``sum of 2^(-age / half-life) / steps^step_power`` over its row's sum to
    ``row_power``.
    """
    own = touches.of_customers()
    own = own.where(_is_any(own.touch, {*relation.from_touches, *relation.to_touches}))
    parts = list(_pairs(own, relation, n_items, params))
    matrix = sum(parts[1:], parts[0]) if parts else sparse.csr_matrix((n_items, n_items), dtype=np.float32)
    if params.backward and relation.is_symmetric:
        matrix = matrix + np.float32(params.backward) * matrix.T
    return _edges(relation.name, matrix.tocsr(), params)


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
    return _edges("bought_together", matrix.tocsr().astype(np.float32), CovisitParams(row_power=1.0))


def _pairs(own: Touches, relation: Relation, n_items: int, params: CovisitParams) -> Iterable[sparse.csr_matrix]:
    is_from, is_to = _is_any(own.touch, set(relation.from_touches)), _is_any(own.touch, set(relation.to_touches))
    for step in range(1, min(params.n_steps, len(own) - 1) + 1):
        a, b = slice(None, -step), slice(step, None)
        gap = own.at[b] - own.at[a]
        keep = (own.customer_idx[a] == own.customer_idx[b]) & (gap <= int(params.window_days * DAY_US))
        keep &= ((own.item_idx[a] != own.item_idx[b]) | params.repeats) & is_from[a] & is_to[b]
        if keep.any():
            weight = np.exp2((own.at[b][keep] - own.until) / DAY_US / params.half_life_days) / step**params.step_power
            pair = (own.item_idx[a][keep], own.item_idx[b][keep])
            yield sparse.csr_matrix((weight.astype(np.float32), pair), (n_items, n_items))


def _edges(name: str, matrix: sparse.csr_matrix, params: CovisitParams) -> dict[str, NDArray[np.generic]]:
    if not params.repeats:
        matrix.setdiag(0)
    matrix.eliminate_zeros()
    if not matrix.nnz:
        return {}
    total = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-12) ** -params.row_power
    graph = graph_of(name, best_of_rows((sparse.diags(total.astype(np.float32)) @ matrix).tocsr(), N_EDGES))
    return {**graph, f"{name}.recency": np.array([params.recency], np.float32)}


def _is_any(touch: NDArray[np.uint8], names: set[str]) -> NDArray[np.bool_]:
    return np.isin(touch, [TOUCHES.index(name) for name in names])
