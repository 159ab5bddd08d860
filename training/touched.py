"""What customers have touched by the whole log: a state holds the last of it only, a list of unseen items needs all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from features.state_fields import SEEN_KEEP

if TYPE_CHECKING:
    from recommender.contract import LongVector
    from recommender.items import Items
    from recommender.slate import SlateRequest
    from training.touches import Touches


class Touched:
    """Items of each customer before any moment.

    Parameters
    ----------
    touches
        Of a log, as far as it is to be known.
    """

    def __init__(self, touches: Touches) -> None:
        self._touches = touches.of_customers()
        self._row = {customer_id: row for row, customer_id in enumerate(touches.customer_ids)}
        self._bounds = np.searchsorted(self._touches.customer_idx, np.arange(len(self._row) + 1))

    def before(self, customer_id: str, at: int) -> LongVector:
        """Distinct keys of what a customer (by the head of their identities) touched before ``at``, microseconds."""
        row = self._row.get(customer_id)
        own = slice(0) if row is None else slice(self._bounds[row], self._bounds[row + 1])
        item = self._touches.item_idx[own][self._touches.at[own] < at]
        keys: LongVector = self._touches.item_keys[np.unique(item)]
        return keys


def leaving_out(request: SlateRequest, state: Any, touched: LongVector, items: Items) -> SlateRequest:
    """A request for unseen items that leaves out all of ``touched``, where the state had no room for more."""
    if not request.unseen_only or len(state.seen) < SEEN_KEEP:
        return request
    rows = items.rows_of(touched)
    return replace(request, exclude=(*request.exclude, *map(items.item_id, rows[rows >= 0].tolist())))
