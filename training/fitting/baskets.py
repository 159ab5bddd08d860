"""Purchases as baskets: a basket is what one customer bought on one UTC day, each item once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from features.events import DAY_US
from recommender.contract import TOUCHES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import IntVector, LongVector
    from training.touches import Touches


class Baskets(NamedTuple):
    """Purchases, an item once a customer and day; int32, shape (n,), sorted by customer, day and item."""

    customer_idx: IntVector
    item_idx: IntVector
    day: IntVector

    def before(self, day: int) -> Baskets:
        """Purchases before a UTC day."""
        return self.where(self.day < day)

    def where(self, keep: NDArray[np.bool_]) -> Baskets:
        """Some of the rows."""
        return Baskets(*(column[keep] for column in self))

    def bounds(self, n_customers: int) -> LongVector:
        """First row of each customer, and one more at the end; int64, shape (n_customers + 1,)."""
        return np.searchsorted(self.customer_idx, np.arange(n_customers + 1)).astype(np.int64)


def baskets_of(touches: Touches) -> Baskets:
    """All baskets of known customers."""
    bought = touches.where((touches.touch == TOUCHES.index("buys")) & (touches.customer_idx >= 0))
    columns = (bought.customer_idx, (bought.at // DAY_US).astype(np.int32), bought.item_idx)
    order = np.lexsort(columns[::-1])
    customer, day, item = (column[order] for column in columns)
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (np.diff(customer) != 0) | (np.diff(day) != 0) | (np.diff(item) != 0)
    return Baskets(customer[is_new], item[is_new], day[is_new])
