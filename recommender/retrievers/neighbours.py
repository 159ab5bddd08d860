"""Item-kNN: items whose customers are the customers of what this customer touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recommender.contract import NOTHING, ArraySpec, Candidates, FloatVector, Query
from recommender.retrievers.graph import Graph, graph_arrays
from recommender.retrievers.history import item_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items


class Neighbours:
    """Cosine neighbours of the whole history, ``score(j) = sum over i of weight(i)^power * sim(i, j)``.

    ``neighbours.params`` = (half-life in days, power, six touch weights).
    """

    name: ClassVar[str] = "neighbours"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        **graph_arrays("neighbours"),
        "neighbours.params": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._graph = Graph(arrays, self.name)
        params: FloatVector = arrays["neighbours.params"]  # type: ignore[assignment]
        self._half_life_days, self._power, self._touch_weights = float(params[0]), float(params[1]), params[2:8]

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Neighbours of every kept item and of the anchors."""
        item_idx, weight = item_weights(query, self._touch_weights, self._half_life_days)
        share = np.power(weight, self._power)
        if len(query.anchor_idx):
            item_idx = np.concatenate([item_idx, query.anchor_idx])
            strongest = share.max(initial=1.0)
            share = np.concatenate([share, np.full(len(query.anchor_idx), strongest, np.float32)])
        return self._graph.spread(item_idx, share, query, n) if len(item_idx) else NOTHING
