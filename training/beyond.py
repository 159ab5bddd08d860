"""Beyond accuracy: what lists do to a catalogue and to a customer, whether or not they hit.

Every function takes ``ranked``: int, shape (n_cases, n), rows of the catalogue, best first, -1 where a list
has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ranked = NDArray[np.integer]
    PerItem = NDArray[np.integer]
    Ratios = NDArray[np.float64]

ALPHA: Final = 0.01
"""Share of the profile that smooths a list's own mix, so that its divergence is finite (Steck 2018)."""


class Profiles(NamedTuple):
    """What customers had touched before: row ``item`` of the catalogue by ``case``, both int, shape (m,)."""

    case: NDArray[np.integer]
    item: NDArray[np.integer]


class Beyond(NamedTuple):
    """Figures of one set of lists; NaN where there is nothing to measure.

    ``coverage`` and ``gini`` of the catalogue, ``novelty`` in bits, ``diversity`` within a list,
    ``popularity_lift`` over the customers' own past (0 is no lift), ``calibration`` in nats (0 is the
    customers' own mix), ``user_coverage`` of the customers.
    """

    coverage: float
    gini: float
    novelty: float
    diversity: float
    popularity_lift: float
    calibration: float
    user_coverage: float


def beyond(ranked: Ranked, profiles: Profiles, category: PerItem, n_customers_of: PerItem, n_customers: int) -> Beyond:
    """All figures of the lists.

    Parameters
    ----------
    category : int, shape (n_items,)
        -1 for none.
    n_customers_of : int, shape (n_items,)
        How many customers had touched each item.
    n_customers : int
        How many there were.
    """
    return Beyond(
        coverage(ranked, len(category)),
        gini(ranked, len(category)),
        novelty(ranked, n_customers_of, n_customers),
        diversity(ranked, category),
        popularity_lift(ranked, profiles, n_customers_of),
        calibration(ranked, profiles, category),
        user_coverage(ranked),
    )


def coverage(ranked: Ranked, n_items: int) -> float:
    """Share of the catalogue that is in any list (Ge, Delgado-Battenfeld and Jannach 2010)."""
    return len(np.unique(ranked[ranked >= 0])) / n_items if n_items else float("nan")


def gini(ranked: Ranked, n_items: int) -> float:
    """Gini index of how often each item is shown, those never shown included.

    0 where all are shown alike, towards 1 where one takes all (Castells, Hurley and Vargas 2022, section 3.5).
    """
    shown = np.sort(np.bincount(ranked[ranked >= 0], minlength=n_items))
    if not shown.sum():
        return float("nan")
    weight = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float((weight * shown).sum() / (n_items * shown.sum()))


def novelty(ranked: Ranked, n_customers_of: PerItem, n_customers: int) -> float:
    """Mean of -log2 of the share of customers who know an item, bits (Zhou et al. 2010).

    An item that nobody touched counts as touched by one.
    """
    shown = ranked[ranked >= 0]
    if not len(shown) or not n_customers:
        return float("nan")
    return float(-np.log2(np.maximum(1, n_customers_of[shown]) / n_customers).mean())


def diversity(ranked: Ranked, category: PerItem) -> float:
    """Share of the pairs in a list that are of different categories, mean over lists (Smyth and McClave 2001).

    Items without a category are left out, and so are lists of which fewer than two are left.
    """
    counts = _mixes(*_lists(ranked, category), len(ranked), _n_categories(category))
    n = counts.sum(axis=1)
    many = n > 1
    if not many.any():
        return float("nan")
    counts, n = counts[many], n[many]
    alike = (counts * (counts - 1)).sum(axis=1)
    return float((1 - alike / (n * (n - 1))).mean())


def popularity_lift(ranked: Ranked, profiles: Profiles, n_customers_of: PerItem) -> float:
    """How much more popular the lists are than what the same customers touched, as a share of the latter.

    Popularity of a list or a profile is the mean of its items' numbers of customers; each case counts once
    (group average popularity: Abdollahpouri et al. 2020). Cases without a list or without a past are left out.
    """
    case, item = np.nonzero(ranked >= 0)[0], ranked[ranked >= 0]
    shown, has_list = _mean_by(case, n_customers_of[item], len(ranked))
    known, has_past = _mean_by(profiles.case, n_customers_of[profiles.item], len(ranked))
    both = has_list & has_past
    before = float(known[both].mean()) if both.any() else 0.0
    return float(shown[both].mean()) / before - 1 if before else float("nan")


def calibration(ranked: Ranked, profiles: Profiles, category: PerItem) -> float:
    """Divergence KL(p || q) of a list's mix of categories q from the customer's own p, nats, mean over cases.

    With q smoothed to ``(1 - ALPHA) q + ALPHA p`` and each rank of equal weight (Steck 2018, eq. 1 to 5).
    Cases without a past or a list that has a category are left out.
    """
    n_categories = _n_categories(category)
    own = category[profiles.item]
    p = _mixes(profiles.case[own >= 0], own[own >= 0], len(ranked), n_categories)
    q = _mixes(*_lists(ranked, category), len(ranked), n_categories)
    both = (p.sum(axis=1) > 0) & (q.sum(axis=1) > 0)
    return float(_divergence(_shares(p[both]), _shares(q[both])).mean()) if both.any() else float("nan")


def user_coverage(ranked: Ranked) -> float:
    """Share of the cases that get any item at all (Gunawardana, Shani and Yogev 2022, section 3.4)."""
    return float((ranked >= 0).any(axis=1).mean()) if len(ranked) else float("nan")


def _n_categories(category: PerItem) -> int:
    return int(category.max(initial=-1)) + 1


def _lists(ranked: Ranked, category: PerItem) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Case and category of every slot that has one."""
    case, rank = np.nonzero(ranked >= 0)
    of = category[ranked[case, rank]]
    return case[of >= 0], of[of >= 0]


def _mixes(case: NDArray[np.integer], category: NDArray[np.integer], n_cases: int, n_categories: int) -> Ratios:
    """How many items of each category each case has, shape (n_cases, n_categories)."""
    counts = np.bincount(case * n_categories + category, minlength=n_cases * n_categories)
    return counts.reshape(n_cases, n_categories).astype(np.float64)


def _shares(counts: Ratios) -> Ratios:
    shares: Ratios = counts / counts.sum(axis=1, keepdims=True)
    return shares


def _divergence(p: Ratios, q: Ratios) -> Ratios:
    smooth = (1 - ALPHA) * q + ALPHA * p
    ratio = np.divide(p, smooth, out=np.ones_like(p), where=p > 0)
    terms: Ratios = (p * np.log(ratio)).sum(axis=1)
    return terms


def _mean_by(case: NDArray[np.integer], values: PerItem, n_cases: int) -> tuple[Ratios, NDArray[np.bool_]]:
    """Mean of the values of each case, and which cases have any."""
    n = np.bincount(case, minlength=n_cases)
    mean: Ratios = np.bincount(case, values, n_cases) / np.maximum(1, n)
    return mean, n > 0
