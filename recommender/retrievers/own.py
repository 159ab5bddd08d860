"""The customer's own items: what they looked at last, and what they come back to."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recommender.contract import NOTHING, TOUCHES, ArraySpec, Candidates, FloatVector, Query
from recommender.kernels_history import by_frequency, by_recency

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
        return Candidates(*by_recency(query.touch_idx, query.touch_counts, query.mask, n))


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
        if not (len(query.touch_idx) or len(query.bought_idx)):
            return NOTHING
        return Candidates(
            *by_frequency(
                query.touch_idx,
                query.touch_at,
                query.touch_counts,
                query.bought_idx,
                query.bought_day,
                query.now,
                self._touch_weights,
                self._day_weight,
                self._half_life_days,
                self._lift,
                query.mask,
                n,
            )
        )
