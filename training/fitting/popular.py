"""Decayed popularity by context, for ``recommender/retrievers/popular.py`` and ``category.py``."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.events import DAY_US
from recommender.items import KINDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector, IntVector
    from recommender.items import Items
    from training.touches import Touches

WEIGHTS: Final = np.array([1.0, 1.0, 1.0, 1.5, 0.0, 2.0])
N_KEPT: Final = 400
N_KEPT_OF_CATEGORY: Final = 100
MIN_LOCALE_CUSTOMERS: Final = 20


FAINT: Final = 1e-6
FAINT_HALF_LIVES: Final = 64.0
"""A faint memory, so many times as long, keeps the order of what a short half-life has forgotten."""


class PopularParams(NamedTuple):
    """Half-life of a touch in days; 3,650 forgets nothing."""

    half_life_days: float = 7.0


POPULAR_GRID: Final = tuple(PopularParams(days) for days in (7.0, 0.25, 0.5, 1.0, 2.0, 4.0, 14.0, 30.0, 90.0, 3650.0))


def decayed_counts(touches: Touches, n_items: int, half_life_days: float) -> FloatVector:
    """Customers a day who touched each item, by their strongest touch, halved every ``half_life_days``.

    A customer counts once a day and item, so that nobody lifts an item alone; item-level signals count each.

    Returns
    -------
    float32, shape (n_items,)
    """
    one = strongest_of_day(touches)
    age = (touches.until - one.at) / DAY_US / half_life_days
    weight = WEIGHTS[one.touch] * ((1 - FAINT) * np.exp2(-age) + FAINT * np.exp2(-age / FAINT_HALF_LIVES))
    return np.bincount(one.item_idx, weight, n_items).astype(np.float32)


def strongest_of_day(touches: Touches) -> Touches:
    """One touch a customer, item and day, the strongest and of equals the last; what belongs to nobody stays."""
    keys = (touches.customer_idx, touches.item_idx, touches.at // DAY_US)
    order = np.lexsort((touches.at, WEIGHTS[touches.touch], *keys))
    is_last = np.ones(len(order), np.bool_)
    is_last[:-1] = np.logical_or.reduce([key[order][1:] != key[order][:-1] for key in keys])
    return touches.where(np.sort(order[is_last | (touches.customer_idx[order] < 0)]))


def fit_popular(touches: Touches, items: Items, params: PopularParams) -> dict[str, NDArray[np.generic]]:
    """Lists of every kind, overall and within each locale that has customers enough.

    An item that nobody touched still stands at the end of its kind's list, so a new catalogue has something to show.
    """
    contexts: list[tuple[int, int]] = []
    lists: list[tuple[IntVector, FloatVector]] = []
    code_of = {name: items.locale_code(name) for name in {*touches.locales, None}}
    customer_locale = np.array([code_of[name] for name in (*touches.locales, None)], np.int32)
    overall = decayed_counts(touches, len(items), params.half_life_days)
    for locale in (-1, *range(len(items.locales))):
        counts = overall
        if locale >= 0:
            if (customer_locale == locale).sum() < MIN_LOCALE_CUSTOMERS:
                continue
            within = touches.where(customer_locale[touches.customer_idx] == locale)
            counts = decayed_counts(within, len(items), params.half_life_days)
        for kind in range(len(KINDS)):
            rows = np.flatnonzero(items.kind == kind).astype(np.int32)
            if len(rows):
                contexts.append((kind, locale))
                lists.append(_top(rows, counts[rows], items.is_available[rows], N_KEPT))
    return {"popular.context": np.array(contexts, np.int32).reshape(-1, 2), **_packed("popular", lists)}


def fit_category(touches: Touches, items: Items, params: PopularParams) -> dict[str, NDArray[np.generic]]:
    """Popular items of each category, so many of each kind; empty where the catalogue has no categories.

    Products and content of a category stand in one list: what a customer reads leads to products, and back.
    """
    if not len(items.categories):
        return {}
    counts = decayed_counts(touches, len(items), params.half_life_days)
    order = np.argsort(items.category, kind="stable")
    bounds = np.searchsorted(items.category[order], np.arange(len(items.categories) + 1))
    rows = [order[a:b].astype(np.int32) for a, b in itertools.pairwise(bounds)]
    return _packed("category", [_top_of_kinds(row, counts, items) for row in rows])


def _top_of_kinds(rows: IntVector, counts: FloatVector, items: Items) -> tuple[IntVector, FloatVector]:
    """The best of each kind among some rows, on one scale."""
    by_kind = [rows[items.kind[rows] == kind] for kind in range(len(KINDS))]
    best = [_top(row, counts[row], items.is_available[row], N_KEPT_OF_CATEGORY)[0] for row in by_kind]
    kept = np.concatenate(best)
    return _top(kept, counts[kept], items.is_available[kept], len(kept))


def _top(
    rows: IntVector, counts: FloatVector, is_available: NDArray[np.bool_], n: int
) -> tuple[IntVector, FloatVector]:
    """The ``n`` best of what can be had, among the ``n`` best of what is gone and may come back."""
    order = np.lexsort((rows, -counts))
    can_be_had = is_available[order]
    order = order[np.where(can_be_had, np.cumsum(can_be_had), np.cumsum(~can_be_had)) <= n]
    # What was touched long ago has tiny counts: relative to each other they still say which was touched more.
    score = counts[order] / (counts.max(initial=0) or np.float32(1))
    # A tiny floor keeps untouched items in the list, below every touched one.
    score[score <= 0] = score[score > 0].min(initial=2e-6) / 2
    return rows[order], score.astype(np.float32)


def _packed(name: str, lists: list[tuple[IntVector, FloatVector]]) -> dict[str, NDArray[np.generic]]:
    indptr = np.cumsum([0, *(len(rows) for rows, _ in lists)]).astype(np.int64)
    item_idx = np.concatenate([np.empty(0, np.int32), *(rows for rows, _ in lists)])
    score = np.concatenate([np.empty(0, np.float32), *(score for _, score in lists)])
    return {
        f"{name}.indptr": indptr,
        f"{name}.item_idx": item_idx.astype(np.int32),
        f"{name}.score": score.astype(np.float32),
    }
