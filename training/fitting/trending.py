"""Trends, for ``recommender/retrievers/trending.py``: the present rate of an item over its long-run rate.

Both rates are shrunk to each other by a prior of ``smoothing`` touches, so that three clicks are not a trend:
the mean of a Gamma posterior, as in the Gamma-Poisson shrinker of DuMouchel 1999.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.events import DAY_US
from training.fitting.popular import strongest_of_day
from training.fitting.ranked import ranked_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector
    from recommender.items import Items
    from training.touches import Touches


class TrendingParams(NamedTuple):
    """Half-lives of the present and of the long run in days; the prior in touches."""

    half_life_days: float = 1.0
    long_half_life_days: float = 30.0
    smoothing: float = 3.0


TRENDING_GRID: Final = (
    TrendingParams(),
    *(TrendingParams(half_life_days=days) for days in (0.25, 0.5, 2.0)),
    *(TrendingParams(half_life_days=days, smoothing=10.0) for days in (0.5, 2.0)),
)


def fit_trending(touches: Touches, items: Items, params: TrendingParams) -> dict[str, NDArray[np.generic]]:
    """The list of what rises; empty where nothing does.

    Touches without a customer (what is talked about elsewhere) count as well.
    """
    one = strongest_of_day(touches)
    present, span = _decayed(one, len(items), params.half_life_days)
    usual, long_span = _decayed(one, len(items), params.long_half_life_days)
    expected = usual * span / max(long_span, 1e-9)
    rise = (present + params.smoothing) / (expected + params.smoothing) - 1
    arrays = ranked_of("trending", (rise * present).astype(np.float32), items)
    return arrays if len(arrays["trending.item_idx"]) else {}


def _decayed(touches: Touches, n_items: int, half_life_days: float) -> tuple[FloatVector, float]:
    """Decayed touches of each item, and the days that they stand for: the integral of the decay over the data."""
    age = (touches.until - touches.at) / DAY_US
    counts = np.bincount(touches.item_idx, np.exp2(-age / half_life_days), n_items).astype(np.float32)
    days = half_life_days / np.log(2) * (1 - np.exp2(-age.max(initial=0) / half_life_days))
    return counts.astype(np.float32), float(days)
