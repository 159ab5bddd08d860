"""What is known of items beside the catalogue, for the ranker: see ``recommender/candidates.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from features.events import DAY_US
from recommender.candidates import ITEM_FACTS
from recommender.contract import TOUCHES
from training.fitting.baskets import baskets_of
from training.fitting.popular import decayed_counts
from training.fitting.repeat import RepeatParams, gap_days, owned_of, repeat_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector, IntVector
    from recommender.items import Items
    from training.touches import Touches

SMOOTHING: Final = 20.0
"""Interactions of the average item that are added to each, so that rates of few are near the mean."""
SHRINK: Final = RepeatParams().shrink
_LOOKS, _CARTS, _BUYS = (
    [TOUCHES.index(name) for name in names] for names in (("views", "reads"), ("carts",), ("buys",))
)


def fit_facts(touches: Touches, items: Items, half_life_days: float) -> dict[str, NDArray[np.generic]]:
    """``facts.item`` and ``facts.first_seen_day``."""
    n = len(items)
    popularity = decayed_counts(touches, n, half_life_days)
    looks, carts, buys = (_customers(touches, n, touch) for touch in (_LOOKS, _CARTS, _BUYS))
    baskets = baskets_of(touches)
    columns = {
        "popularity": np.log1p(popularity),
        "customers": np.log1p(customers_of(touches, n)),
        "trend": _trend(decayed_counts(touches, n, half_life_days / 4), popularity),
        "cart_rate": _smoothed(carts, looks),
        "buy_rate": _smoothed(buys, np.maximum(looks, buys)),
        "repeat_rate": repeat_rate(owned_of(baskets), items.category, SHRINK),
        "gap_days": gap_days(baskets, items.category, SHRINK),
        "price": np.log1p(np.maximum(items.price_minor, 0)),
    }
    table = np.column_stack([columns[name] for name in ITEM_FACTS]).astype(np.float32)
    return {"facts.item": np.ascontiguousarray(table), "facts.first_seen_day": _first_day(touches, items)}


def customers_of(touches: Touches, n_items: int) -> FloatVector:
    """Distinct customers of each item, float32, shape (n_items,)."""
    return _customers(touches, n_items, list(range(len(TOUCHES))))


def _customers(touches: Touches, n_items: int, touch: list[int]) -> FloatVector:
    """Distinct customers who touched each item in some way, float32, shape (n_items,)."""
    own = touches.of_customers()
    own = own.where(np.isin(own.touch, touch))
    pairs = np.unique(own.customer_idx.astype(np.int64) * max(1, n_items) + own.item_idx)
    return np.bincount(pairs % max(1, n_items), minlength=n_items).astype(np.float32)


def _smoothed(part: FloatVector, whole: FloatVector) -> FloatVector:
    """``part / whole``, drawn to the mean of all where the whole is small."""
    mean = part.sum() / max(1.0, float(whole.sum()))
    rate: FloatVector = (part + SMOOTHING * mean) / (whole + SMOOTHING)
    return rate


def _trend(lately: FloatVector, popularity: FloatVector) -> FloatVector:
    """How much of what an item had lately is more than its share, as a log ratio; 0 without touches."""
    share = lately.sum() / max(1e-9, float(popularity.sum()))
    trend: FloatVector = np.log((lately + 1) / (share * popularity + 1))
    return trend


def _first_day(touches: Touches, items: Items) -> IntVector:
    """Day of publication, else of the first touch; 0 for neither."""
    first = np.full(len(items), np.iinfo(np.int64).max)
    np.minimum.at(first, touches.item_idx, touches.at)
    first = np.where(first == np.iinfo(np.int64).max, 0, first)
    at = np.where(items.published_at > 0, items.published_at, first)
    return (at // DAY_US).astype(np.int32)
