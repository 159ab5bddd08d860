"""Sparse item → item lists: the common half of the co-visit and neighbour retrievers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommender.contract import ArraySpec, Candidates, FloatVector, IntVector, Query
from recommender.kernels import spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


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
