"""Ranking metrics over the full catalogue, and their intervals.

Every function takes ``hits``: bool, shape (n_cases, n), whether the item at each rank is a target, and
``n_targets``: int, shape (n_cases,), how many targets each case has, and gives one value a case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Hits = NDArray[np.bool_]
Counts = NDArray[np.integer]
PerCase = NDArray[np.float64]

N_BOOTSTRAP: Final = 2_000


def ndcg(hits: Hits, n_targets: Counts, n: int = 10) -> PerCase:
    """Normalised discounted cumulative gain with binary relevance (Järvelin and Kekäläinen 2002)."""
    discount = 1 / np.log2(np.arange(2, n + 2))
    gain = hits[:, :n] @ discount[: hits.shape[1]]
    ideal = np.concatenate([[0], np.cumsum(discount)])[np.minimum(n_targets, n)]
    score: PerCase = np.divide(gain, ideal, out=np.zeros(len(gain)), where=ideal > 0)
    return score


def recall(hits: Hits, n_targets: Counts, n: int = 20) -> PerCase:
    """Share of the targets within the first ``n``."""
    share: PerCase = hits[:, :n].sum(axis=1) / np.maximum(1, n_targets)
    return share


def hit_rate(hits: Hits, n_targets: Counts, n: int = 20) -> PerCase:
    """Whether any target is within the first ``n``."""
    del n_targets
    return np.asarray(hits[:, :n].any(axis=1), np.float64)


def mrr(hits: Hits, n_targets: Counts, n: int = 20) -> PerCase:
    """One over the rank of the first target within ``n``; 0 where there is none."""
    del n_targets
    first = np.argmax(hits[:, :n], axis=1) if hits.shape[1] else np.zeros(len(hits), np.int64)
    return np.where(hits[:, :n].any(axis=1), 1 / (first + 1), 0.0)


METRICS: Final[dict[str, Callable[[Hits, Counts], PerCase]]] = {
    "ndcg@10": ndcg,
    "recall@20": recall,
    "hit_rate@20": hit_rate,
    "mrr@20": mrr,
}


class Interval(NamedTuple):
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: PerCase, *, seed: int = 0) -> Interval:
    """Mean over cases, with the percentile bootstrap's 95 % interval (NaN without cases)."""
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    # Multinomial counts are the same as drawing cases with replacement, in little memory.
    chunks = [
        rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=100) @ values / len(values)
        for _ in range(N_BOOTSTRAP // 100)
    ]
    low, high = np.quantile(np.concatenate(chunks), [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))
