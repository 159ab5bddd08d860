"""The whole kept history of a customer as one weight an item: the input of ALS and of the neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from features.events import DAY_US
from recommender.contract import FloatVector, IntVector, summed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import Query


def item_weights(query: Query, touch_weights: FloatVector, half_life_days: float) -> tuple[IntVector, FloatVector]:
    """Distinct items and their weights, ``sum over touches of w(type) * 2^(-age / half-life)``.

    Purchases older than the oldest kept touch come from the long memory of orders.

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
    touch = (query.touch_counts @ touch_weights) * _decay((query.now - query.touch_at) / DAY_US, half_life_days)
    oldest_day = query.touch_at[0] // DAY_US if len(query.touch_at) else np.iinfo(np.int64).max
    older = query.bought_day < oldest_day
    age = query.now / DAY_US - query.bought_day[older]
    bought = query.bought_n[older] * touch_weights[-1] * _decay(age, half_life_days)
    item_idx = np.concatenate([query.touch_idx, query.bought_idx[older]])
    unique, weight = summed(item_idx, np.concatenate([touch, bought]).astype(np.float32))
    return unique[weight > 0], weight[weight > 0]


def _decay(age_days: NDArray[np.floating], half_life_days: float) -> NDArray[np.floating]:
    weight: NDArray[np.floating] = np.exp2(-np.maximum(age_days, 0) / half_life_days)
    return weight
