"""Item-kNN: cosine of the customers of two items, with shrinkage (Sarwar et al. 2001)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.retrievers.history import History
from training.fitting.graphs import customer_items, liked_of
from training.fitting.products import Divisor, best_of_product

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector
    from training.touches import Touches


class CosineParams(NamedTuple):
    """How neighbours are measured.

    ``shrink`` is in hundredths of the mean squared norm of an item. ``asymmetry`` is the exponent of the norm
    of the item that is proposed, that of the item touched being one less it: 0.5 for the cosine, 0 for the
    conditional probability (Aiolli 2013). ``half_life_days`` and ``power`` are those of
    :class:`recommender.retrievers.history.History`.
    """

    shrink: float = 100.0
    asymmetry: float = 0.4
    n_neighbours: int = 100
    half_life_days: float = 3650.0
    power: float = 0.5
    has_self: bool = True


COSINE_GRID: Final = (
    CosineParams(),
    CosineParams(shrink=10.0, asymmetry=0.5, n_neighbours=200),
    CosineParams(shrink=10.0, asymmetry=0.6),
    CosineParams(half_life_days=7.0),
    CosineParams(shrink=0.0, asymmetry=0.5, n_neighbours=200, half_life_days=14.0),
    CosineParams(asymmetry=0.3, half_life_days=3.0, power=1.0),
)


def fit_cosine(
    touches: Touches, n_items: int, params: CosineParams, touch_weights: FloatVector
) -> dict[str, NDArray[np.generic]]:
    """Best neighbours of every item; empty where no two items share a customer."""
    history = History(params.half_life_days, params.power, touch_weights)
    matrix = customer_items(touches, n_items, history)
    square = np.bincount(matrix.indices, matrix.data**2, n_items).astype(np.float32)
    unit = float(square[square > 0].mean()) if square.any() else 1.0
    # A product that is not 0 belongs to two items that somebody touched: nothing is divided by 0.
    divisor = Divisor(square ** (1 - params.asymmetry), square**params.asymmetry, params.shrink / 100 * unit)
    graph = best_of_product(matrix.T.tocsr(), matrix, divisor, params.n_neighbours, has_self=params.has_self)
    return liked_of("cosine", graph, history)
