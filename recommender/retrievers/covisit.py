"""Directed co-visits: what customers touched after the items that this customer touched.

Edges point forward in time (a before b). Their weights are learned in ``training/fitting/covisit.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recommender.contract import NOTHING, TOUCHES, ArraySpec, Candidates, FloatVector, IntVector, Query
from recommender.kernels_history import last_distinct
from recommender.retrievers.graph import Graph, graph_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items

N_SEEDS = 30


def covisit_arrays(name: str) -> dict[str, ArraySpec]:
    """Declared arrays of one relation: its graph, and the weight of a seed over that of the next newer one."""
    return {**graph_arrays(name), f"{name}.recency": ArraySpec("float32", 1)}


class Covisit:
    """What comes after the customer's last items of some touches; subclasses name the touches."""

    name: ClassVar[str]
    arrays: ClassVar[Mapping[str, ArraySpec]]
    seed_touches: ClassVar[tuple[str, ...]]

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._graph = Graph(arrays, self.name)
        share = (float(arrays[f"{self.name}.recency"][0]) ** np.arange(N_SEEDS)).astype(np.float32)
        self._share: FloatVector = share[share > 0]
        self._wanted = np.array([touch in self.seed_touches for touch in TOUCHES], np.bool_)

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Targets of the anchors and of the last distinct seed items, the newest counting most."""
        seeds, share = self._seeds(query)
        return self._graph.spread(seeds, share, query, n) if len(seeds) else NOTHING

    def _seeds(self, query: Query) -> tuple[IntVector, FloatVector]:
        seeds = last_distinct(
            query.anchor_idx, query.touch_idx, query.touch_counts, self._wanted, 4 * N_SEEDS, len(self._share)
        )
        return seeds, self._share[: len(seeds)]


class ViewedNext(Covisit):
    """After looking at a, customers look at b."""

    name: ClassVar[str] = "viewed_next"
    arrays: ClassVar[Mapping[str, ArraySpec]] = covisit_arrays("viewed_next")
    seed_touches: ClassVar[tuple[str, ...]] = ("views", "carts", "buys")


class BoughtTogether(Covisit):
    """With or after a, customers buy b."""

    name: ClassVar[str] = "bought_together"
    arrays: ClassVar[Mapping[str, ArraySpec]] = covisit_arrays("bought_together")
    seed_touches: ClassVar[tuple[str, ...]] = ("buys", "carts")


class ReadNext(Covisit):
    """After reading a, customers read b."""

    name: ClassVar[str] = "read_next"
    arrays: ClassVar[Mapping[str, ArraySpec]] = covisit_arrays("read_next")
    seed_touches: ClassVar[tuple[str, ...]] = ("reads", "likes")


class ReadBought(Covisit):
    """After reading a, customers look at b, put it into the cart or buy it: from content to products."""

    name: ClassVar[str] = "read_bought"
    arrays: ClassVar[Mapping[str, ArraySpec]] = covisit_arrays("read_bought")
    seed_touches: ClassVar[tuple[str, ...]] = ("reads",)
