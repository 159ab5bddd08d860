"""The customer's own items: what they looked at last, and what they come back to."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from features.events import DAY_US
from recommender.contract import NOTHING, TOUCHES, ArraySpec, Candidates, FloatVector, Query, best, summed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items


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
    """Items that the customer comes back to: how often, with a half-life, and times what the item is worth to all.

    Purchases count by days, from the long memory of orders, other touches from the short one.
    ``frequent.params`` = (half-life in days, six touch weights by ``TOUCHES``, that of purchases a day);
    ``frequent.lift`` is the popularity of each item to a small power, in (0, 1].
    """

    name: ClassVar[str] = "frequent"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "frequent.params": ArraySpec("float32", 1),
        "frequent.lift": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        params: FloatVector = arrays["frequent.params"]  # type: ignore[assignment]
        self._lift: FloatVector = arrays["frequent.lift"]  # type: ignore[assignment]
        bought = TOUCHES.index("buys")
        self._half_life_days, self._day_weight = float(params[0]), float(params[1 + bought])
        self._touch_weights = params[1:7] * (np.arange(len(TOUCHES)) != bought)

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Distinct items by decayed count times lift."""
        item_idx = np.concatenate([query.touch_idx, query.bought_idx])
        if not len(item_idx):
            return NOTHING
        touch = (query.touch_counts @ self._touch_weights) * self._decay((query.now - query.touch_at) / DAY_US)
        bought = self._day_weight * self._decay(query.now / DAY_US - query.bought_day)
        item_idx, count = summed(item_idx, np.concatenate([touch, bought]).astype(np.float32))
        return best(*query.allow(item_idx, count * self._lift[item_idx]), n)

    def _decay(self, age_days: NDArray[np.floating]) -> NDArray[np.floating]:
        weight: NDArray[np.floating] = np.exp2(-np.maximum(age_days, 0) / self._half_life_days)
        return weight
