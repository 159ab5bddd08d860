"""New items, for ``recommender/retrievers/fresh.py``: age, and a smoothed expectation of how many will care."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.events import DAY_US
from recommender.retrievers.fresh import NEVER_SEEN
from training.fitting.ranked import ranked_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector, LongVector
    from recommender.items import Items
    from training.touches import Touches


class FreshParams(NamedTuple):
    """Half-life of newness in days; weight of a category's mean in items, and in an item's own count."""

    half_life_days: float = 7.0
    smoothing: float = 10.0


FRESH_GRID: Final = (
    FreshParams(),
    *(FreshParams(half_life_days=days) for days in (0.5, 1.0, 3.0, 30.0)),
    *(FreshParams(half_life_days=days, smoothing=1.0) for days in (0.5, 1.0, 3.0)),
)


def fit_fresh(touches: Touches, items: Items, params: FreshParams) -> dict[str, NDArray[np.generic]]:
    """Items by ``2^(-age / half-life)`` times their expected customers; empty where no item has an age.

    An item's expectation is its own number of customers, shrunk to the mean of its category, which is itself
    shrunk to the mean of all: what nobody has touched yet is judged by what it belongs to.
    """
    since = first_seen(touches, items)
    if (since == NEVER_SEEN).all():
        return {}
    age = np.maximum(0, touches.until - since) / DAY_US
    expected = _expected(_customers(touches, len(items)), items, since >= 0, params.smoothing)
    score = np.where(since >= 0, np.exp2(-age / params.half_life_days) * expected, 0)
    day = np.where(since >= 0, since // DAY_US, NEVER_SEEN).astype(np.int32)
    return {**ranked_of("fresh", score.astype(np.float32), items), "fresh.first_seen_day": day}


def first_seen(touches: Touches, items: Items) -> LongVector:
    """When each item was published, else first touched, in microseconds; -1 where neither is known."""
    first = np.full(len(items), np.iinfo(np.int64).max)
    np.minimum.at(first, touches.item_idx, touches.at)
    first[first == np.iinfo(np.int64).max] = NEVER_SEEN
    return np.where(items.published_at > 0, items.published_at, first)


def _expected(customers: FloatVector, items: Items, is_dated: NDArray[np.bool_], smoothing: float) -> FloatVector:
    """Customers that each item can expect, shape (n_items,); > 0."""
    overall = max(float(customers[is_dated].mean()), 1e-6)
    category = items.category + 1
    n = np.bincount(category[is_dated], minlength=len(items.categories) + 1)
    total = np.bincount(category[is_dated], customers[is_dated], len(items.categories) + 1)
    mean = (total + smoothing * overall) / (n + smoothing)
    expected: FloatVector = ((customers + smoothing * mean[category]) / (1 + smoothing)).astype(np.float32)
    return expected


def _customers(touches: Touches, n_items: int) -> FloatVector:
    """Distinct customers of each item, shape (n_items,)."""
    pairs = np.unique(touches.customer_idx * np.int64(n_items) + touches.item_idx)
    return np.bincount(pairs[pairs >= 0] % n_items, minlength=n_items).astype(np.float32)
