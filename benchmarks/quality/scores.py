"""Figures: metrics of lists, their intervals, paired differences, and the gain pooled over tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from training import metrics
from training.metrics import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

N_BOOTSTRAP: Final = 2_000
MIN_CASES: Final = 200
"""Below so many cases a task is reported and not judged."""

_METRICS: Final = {
    "ndcg": metrics.ndcg,
    "recall": metrics.recall,
    "hit_rate": metrics.hit_rate,
    "mrr": metrics.mrr,
}
SHOWN: Final = {"ndcg": "NDCG", "recall": "Recall", "hit_rate": "HR", "mrr": "MRR"}


def values_of(keys: NDArray[np.int64], targets: Sequence[NDArray[np.int64]], metric: tuple[str, int]) -> Values:
    """One value a case of lists of item keys."""
    name, n = metric
    hits = np.array([np.isin(row, right) for row, right in zip(keys, targets, strict=True)], np.bool_)
    n_targets = np.array([len(right) for right in targets])
    return _METRICS[name](hits.reshape(len(targets), keys.shape[1]), n_targets, n)


class Draws(NamedTuple):
    """Bootstrap means of two systems on the same draws of customers, shape (N_BOOTSTRAP,) each."""

    ours: Values
    theirs: Values


class Gain(NamedTuple):
    """Difference to a baseline, absolute and as a share of the baseline's mean."""

    absolute: Interval
    relative: Interval


def bootstrap(ours: Values, theirs: Values, groups: NDArray[np.int64], *, seed: int = 0) -> Draws:
    """Means over cases when whole customers are drawn with replacement.

    Parameters
    ----------
    groups : int64, shape (n_cases,)
        Customer of each case: cases of one customer are not independent.
    """
    _, group = np.unique(groups, return_inverse=True)
    n = int(group.max()) + 1
    sums = np.stack([np.bincount(group, weights=column, minlength=n) for column in (ours, theirs, np.ones(len(ours)))])
    rng = np.random.default_rng(seed)
    chunks = [rng.multinomial(n, np.full(n, 1 / n), size=100) @ sums.T for _ in range(N_BOOTSTRAP // 100)]
    drawn = np.concatenate(chunks)
    return Draws(drawn[:, 0] / drawn[:, 2], drawn[:, 1] / drawn[:, 2])


def interval(mean: float, draws: Values) -> Interval:
    """A mean with the percentile interval of its draws."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(mean, float(low), float(high))


def gain_of(ours: Values, theirs: Values, draws: Draws) -> Gain:
    """Paired difference; a baseline of 0 has no relative one (NaN)."""
    base = float(theirs.mean())
    difference = draws.ours - draws.theirs
    absolute = interval(float(ours.mean()) - base, difference)
    return Gain(absolute, interval(absolute.mean / base, _shares(draws)) if base else Interval(*[float("nan")] * 3))


def pooled(gains: Sequence[Gain], draws: Sequence[Draws]) -> Interval:
    """Mean of the tasks' relative gains, each task alike, with tasks drawn independently of each other."""
    means = [gain.relative.mean for gain in gains]
    return interval(float(np.mean(means)), np.mean([_shares(one) for one in draws], axis=0))


def _shares(draws: Draws) -> Values:
    return np.divide(draws.ours - draws.theirs, draws.theirs, out=np.zeros_like(draws.ours), where=draws.theirs > 0)
