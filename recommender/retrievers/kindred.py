"""What customers with the same history are at just now.

Whom a customer resembles is learned from whole histories, what those touch counts only while it is recent:
taste lasts, and news does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recommender.contract import NOTHING, ArraySpec, Candidates, Query
from recommender.kernels_history import distinct
from recommender.retrievers.graph import Graph, graph_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items


class Kindred:
    """Edges from what was ever touched to what its customers touched last; see ``training/fitting/kindred.py``."""

    name: ClassVar[str] = "kindred"
    arrays: ClassVar[Mapping[str, ArraySpec]] = graph_arrays("kindred")

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._graph = Graph(arrays, self.name)

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Targets of every distinct item of the kept history and of the anchors, each counting the same."""
        seeds = distinct(query.anchor_idx, query.touch_idx, query.bought_idx)
        return self._graph.spread(seeds, np.ones(len(seeds), np.float32), query, n) if len(seeds) else NOTHING
