"""Sparse item → item lists: the common half of the co-visit and the item-based collaborative retrievers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from recommender.contract import NOTHING, ArraySpec, Candidates, FloatVector, IntVector, Query
from recommender.kernels import spread
from recommender.retrievers.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from recommender.items import Items


def liked_arrays(name: str) -> dict[str, ArraySpec]:
    """Declared arrays of one item-based source: its graph and how it weighs a history."""
    return {**graph_arrays(name), f"{name}.params": ArraySpec("float32", 1)}


def graph_arrays(name: str) -> dict[str, ArraySpec]:
    """Declared arrays of one graph: rows by ``indptr``, target items and weights."""
    return {
        f"{name}.indptr": ArraySpec("int64", 1),
        f"{name}.item_idx": ArraySpec("int32", 1),
        f"{name}.weight": ArraySpec("float32", 1),
    }


class Graph:
    """Rows of weighted targets.

    Attributes
    ----------
    indptr : int64, shape (n_items + 1,)
    item_idx : int32, shape (n_edges,)
    weight : float32, shape (n_edges,)
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], name: str) -> None:
        self.indptr: NDArray[np.int64] = arrays[f"{name}.indptr"]  # type: ignore[assignment]
        self.item_idx: IntVector = arrays[f"{name}.item_idx"]  # type: ignore[assignment]
        self.weight: FloatVector = arrays[f"{name}.weight"]  # type: ignore[assignment]

    def spread(self, seeds: IntVector, share: FloatVector, query: Query, n: int) -> Candidates:
        """The ``n`` best targets of some seed items, each edge times its seed's share, added up.

        Parameters
        ----------
        seeds : int32, shape (m,)
        share : float32, shape (m,)
        """
        n_items = len(self.indptr) - 1
        return Candidates(*spread(self.indptr, self.item_idx, self.weight, seeds, share, query.mask, n_items, n))


class Liked:
    """Targets of the whole history over one graph, ``score(j) = sum over i of weight(i) * edge(i, j)``.

    What the item-based collaborative sources share; each names itself, and its fit decides what an edge is.
    ``<name>.params`` = (half-life in days, power, six touch weights).
    """

    name: ClassVar[str]
    arrays: ClassVar[Mapping[str, ArraySpec]]

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._graph = Graph(arrays, self.name)
        params: FloatVector = arrays[f"{self.name}.params"]  # type: ignore[assignment]
        self._history = History.of_array(params)

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Targets of every kept item and of the anchors."""
        item_idx, weight = self._history.with_anchors(query)
        return self._graph.spread(item_idx, weight, query, n) if len(item_idx) else NOTHING
