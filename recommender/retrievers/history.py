"""The whole kept history of a customer as one weight an item: the input of every collaborative source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.contract import FloatVector, IntVector, summed
from recommender.kernels_history import weighed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import Query

N_PARAMS: Final = 8
"""Length of :meth:`History.to_array`."""


class History(NamedTuple):
    """How much each item of a history counts: ``(sum over touches of w(type) * 2^(-age / half-life)) ^ power``.

    Attributes
    ----------
    half_life_days : float
        > 0. Ages run back from the customer's own last touch, so that a long pause takes nothing away.
    power : float
        1 as counted, 0.5 damped, 0 for having touched an item or not, whatever the type and age.
    touch_weights : float32, shape (6,)
        By ``TOUCHES``.
    """

    half_life_days: float
    power: float
    touch_weights: FloatVector

    @classmethod
    def of_array(cls, params: FloatVector) -> History:
        """Inverse of :meth:`to_array`."""
        return cls(float(params[0]), float(params[1]), params[2:N_PARAMS])

    def to_array(self) -> FloatVector:
        """Half-life, power and the six touch weights as a bundle holds them, float32, shape (8,)."""
        return np.array([self.half_life_days, self.power, *self.touch_weights], np.float32)

    def of(self, query: Query) -> tuple[IntVector, FloatVector]:
        """Distinct items ascending, int32, and their weights, float32 and > 0."""
        item_idx, weight = item_weights(query, self.touch_weights, self.half_life_days)
        return item_idx, damped(weight, self.power)

    def with_anchors(self, query: Query) -> tuple[IntVector, FloatVector]:
        """The same with what the page is about; an anchor counts as much as the strongest item."""
        item_idx, weight = self.of(query)
        if not len(query.anchor_idx):
            return item_idx, weight
        anchors = np.full(len(query.anchor_idx), weight.max(initial=1.0), np.float32)
        return summed(np.concatenate([item_idx, query.anchor_idx]), np.concatenate([weight, anchors]))


def item_weights(query: Query, touch_weights: FloatVector, half_life_days: float) -> tuple[IntVector, FloatVector]:
    """Distinct items and their weights, ``sum over touches of w(type) * 2^(-age / half-life)``.

    Purchases older than the oldest kept touch come from the long memory of orders. Ages run back from the
    last of all touches and purchases.

    Parameters
    ----------
    touch_weights : float32, shape (6,)
        By ``TOUCHES``.
    half_life_days : float
        > 0.

    Returns
    -------
    item_idx : int32, shape (m,), ascending
    weight : float32, shape (m,), > 0
    """
    return weighed(
        query.touch_idx,
        query.touch_at,
        query.touch_counts,
        query.bought_idx,
        query.bought_day,
        query.bought_n,
        touch_weights,
        half_life_days,
    )


def damped(weight: FloatVector, power: float) -> FloatVector:
    """Positive weights to a power; ones where it is 0."""
    damped_weight: NDArray[np.float32] = np.power(weight, np.float32(power))
    return damped_weight
