"""How much items count for ``recommender/retrievers/own.py``: half-life, touch weights, and popularity as a lift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from training.fitting.popular import decayed_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.touches import Touches


class FrequentParams(NamedTuple):
    """Half-lives in days; weights by ``TOUCHES``.

    An own count is multiplied by the item's popularity to ``popular_power``: near 0 it settles ties only.
    """

    half_life_days: float = 120.0
    touch_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 2.0, 0.0, 1.0)
    popular_power: float = 0.1
    popular_half_life_days: float = 30.0


FREQUENT_GRID: Final = (
    FrequentParams(),
    *(FrequentParams(half_life_days=days) for days in (0.1, 1.0, 7.0, 30.0)),
    FrequentParams(half_life_days=240.0, popular_power=0.2),
    FrequentParams(half_life_days=3650.0, popular_power=0.01),
    FrequentParams(half_life_days=7.0, popular_power=0.3),
)
"""The last but one is plain frequency with popularity for ties, GP-TopFreq."""


def fit_frequent(touches: Touches, n_items: int, params: FrequentParams) -> dict[str, NDArray[np.generic]]:
    """Parameters, and ``(popularity / greatest)^power`` of each item; what nobody touched counts as the least."""
    counts = decayed_counts(touches, n_items, params.popular_half_life_days).astype(np.float64)
    least = counts[counts > 0].min(initial=1.0)
    lift = (np.maximum(counts, least) / max(least, counts.max(initial=0.0))) ** params.popular_power
    return {
        "frequent.params": np.array([params.half_life_days, *params.touch_weights], np.float32),
        "frequent.lift": np.maximum(lift, 1e-6).astype(np.float32),
    }
