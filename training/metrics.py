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
CHUNK: Final = 50
"""Draws at a time, for memory."""


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


def precision(hits: Hits, n_targets: Counts, n: int = 10) -> PerCase:
    """Share of the first ``n`` ranks that hold a target; a shorter list is measured against ``n`` as well."""
    del n_targets
    share: PerCase = hits[:, :n].sum(axis=1) / n
    return share


def average_precision(hits: Hits, n_targets: Counts, n: int = 20) -> PerCase:
    """Mean over the targets of the precision at their ranks, 0 for one outside the first ``n``.

    At most ``n`` targets count, so that 1 can be reached (Manning, Raghavan and Schütze 2008, section 8.4).
    """
    seen = hits[:, :n]
    at_rank = np.cumsum(seen, axis=1) / np.arange(1, seen.shape[1] + 1)
    mean: PerCase = (at_rank * seen).sum(axis=1) / np.clip(n_targets, 1, n)
    return mean


METRICS: Final[dict[str, Callable[[Hits, Counts], PerCase]]] = {
    "ndcg@10": ndcg,
    "recall@20": recall,
    "hit_rate@20": hit_rate,
    "mrr@20": mrr,
    "precision@10": precision,
    "map@20": average_precision,
}


class Interval(NamedTuple):
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: PerCase, *, seed: int = 0) -> Interval:
    """Mean over cases, with the percentile bootstrap's 95 % interval (NaN without cases)."""
    return mean_intervals(values[:, None], seed=seed)[0]


def mean_intervals(
    values: NDArray[np.float64], groups: NDArray[np.integer] | None = None, *, seed: int = 0
) -> list[Interval]:
    """Means of columns with their 95 % bootstrap intervals, all from the same draws, so that differences are paired.

    Parameters
    ----------
    values : float64, shape (n_cases, n_columns)
    groups : int, shape (n_cases,), optional
        Whose case each is: whole groups are drawn, since the cases of one customer are not independent
        (Davison and Hinkley 1997, section 3.8). Without it each case is a group.

    Returns
    -------
    list of Interval
        One a column; NaN without cases.
    """
    if not len(values):
        return [Interval(float("nan"), float("nan"), float("nan"))] * values.shape[1]
    sums, sizes = _by_group(values, groups)
    rng = np.random.default_rng(seed)
    means = np.concatenate([_resampled(sums, sizes, rng) for _ in range(N_BOOTSTRAP // CHUNK)])
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return [Interval(*row) for row in np.column_stack([values.mean(axis=0), low, high]).tolist()]


def _by_group(
    values: NDArray[np.float64], groups: NDArray[np.integer] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of each group, shape (n_groups, n_columns), and sizes, shape (n_groups,)."""
    if groups is None:
        return values, np.ones(len(values))
    _, code = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(code.max()) + 1, values.shape[1]))
    np.add.at(sums, code, values)
    return sums, np.bincount(code).astype(np.float64)


def _resampled(sums: NDArray[np.float64], sizes: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Means of ``CHUNK`` draws of groups with replacement, shape (CHUNK, n_columns)."""
    n = len(sizes)
    drawn = rng.integers(0, n, (CHUNK, n)) + n * np.arange(CHUNK)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=CHUNK * n).reshape(CHUNK, n).astype(np.float64)
    means: NDArray[np.float64] = (counts @ sums) / (counts @ sizes)[:, None]
    return means
