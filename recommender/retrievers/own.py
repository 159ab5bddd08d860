"""The customer's own items: what they looked at last, and what they come back to."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from features.events import DAY_US
from recommender.contract import NOTHING, TOUCHES, ArraySpec, Candidates, Query, best, summed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items

WEIGHTS = np.array([1.0, 1.0, 1.0, 2.0, 0.0, 1.0], np.float32)
"""What a touch says about coming back to the item, by ``TOUCHES``."""


class OwnRecent:
    """Items of the last touches, the newest first: a reminder, the largest cheap win within a session.

    The k-th newest distinct item scores ``1 / k``, twice that when it is in the cart.
    """

    name: ClassVar[str] = "recent"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {}

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del arrays, items

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Distinct items of the kept touches by recency."""
        if not len(query.touch_idx):
            return NOTHING
        newest_first = query.touch_idx[::-1]
        item_idx, first = np.unique(newest_first, return_index=True)
        place = np.empty(len(first), np.float32)
        place[np.argsort(first)] = np.arange(1, len(first) + 1)
        in_cart = query.touch_counts[::-1][first, TOUCHES.index("carts")] > 0
        return best(*query.allow(item_idx, (1 + in_cart) / place), n)


class OwnFrequent:
    """Items that the customer comes back to: how often, with a half-life.

    Purchases count from the long memory of orders, other touches from the short one.
    """

    name: ClassVar[str] = "frequent"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {"frequent.half_life_days": ArraySpec("float32", 1)}

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._half_life_days = float(arrays["frequent.half_life_days"][0])

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Distinct items by decayed count; an item bought counts by its orders."""
        other = query.touch_counts * (np.arange(len(TOUCHES)) != TOUCHES.index("buys"))
        touch = (other @ WEIGHTS) * self._decay((query.now - query.touch_at) / DAY_US)
        bought = query.bought_n * self._decay(query.now / DAY_US - query.bought_day)
        item_idx = np.concatenate([query.touch_idx, query.bought_idx])
        if not len(item_idx):
            return NOTHING
        return best(*query.allow(*summed(item_idx, np.concatenate([touch, bought]).astype(np.float32))), n)

    def _decay(self, age_days: NDArray[np.floating]) -> NDArray[np.floating]:
        weight: NDArray[np.floating] = np.exp2(-np.maximum(age_days, 0) / self._half_life_days)
        return weight
