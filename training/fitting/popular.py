"""Decayed popularity by context, for ``recommender/retrievers/popular.py`` and ``category.py``."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

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


def decayed_counts(touches: Touches, n_items: int, half_life_days: float) -> FloatVector:
    """Weighted touches of each item, halved every ``half_life_days``; shape (n_items,).

    A customer's repeated touches of an item on one day count once, so that nobody lifts an item alone.
    """
    columns = (touches.at // DAY_US, touches.customer_idx, touches.item_idx, touches.touch)
    order = np.lexsort(columns)
    is_repeat = np.zeros(len(order), np.bool_)
    is_repeat[1:] = np.logical_and.reduce([column[order][1:] == column[order][:-1] for column in columns])
    first = order[~(is_repeat & (touches.customer_idx[order] >= 0))]
    weight = WEIGHTS[touches.touch[first]] * np.exp2((touches.at[first] - touches.until) / DAY_US / half_life_days)
    return np.bincount(touches.item_idx[first], weight, n_items).astype(np.float32)


def fit_popular(touches: Touches, items: Items, half_life_days: float) -> dict[str, NDArray[np.generic]]:
    """Lists of every kind, overall and within each locale that has customers enough.

    An item that nobody touched still stands at the end of its kind's list, so a new catalogue has something to show.
    """
    contexts: list[tuple[int, int]] = []
    lists: list[tuple[IntVector, FloatVector]] = []
    code_of = {name: items.locale_code(name) for name in {*touches.locales, None}}
    customer_locale = np.array([code_of[name] for name in (*touches.locales, None)], np.int32)
    overall = decayed_counts(touches, len(items), half_life_days)
    for locale in (-1, *range(len(items.locales))):
        counts = overall
        if locale >= 0:
            if (customer_locale == locale).sum() < MIN_LOCALE_CUSTOMERS:
                continue
            counts = decayed_counts(
                touches.where(customer_locale[touches.customer_idx] == locale), len(items), half_life_days
            )
        for kind in range(len(KINDS)):
            rows = np.flatnonzero(items.kind == kind).astype(np.int32)
            if len(rows):
                contexts.append((kind, locale))
                lists.append(_top(rows, counts[rows], items.is_available[rows], N_KEPT))
    return {"popular.context": np.array(contexts, np.int32).reshape(-1, 2), **_packed("popular", lists)}


def fit_category(touches: Touches, items: Items, half_life_days: float) -> dict[str, NDArray[np.generic]]:
    """Popular items of each category; empty where the catalogue has no categories."""
    if not len(items.categories):
        return {}
    counts = decayed_counts(touches, len(items), half_life_days)
    order = np.argsort(items.category, kind="stable")
    bounds = np.searchsorted(items.category[order], np.arange(len(items.categories) + 1))
    rows = [order[a:b].astype(np.int32) for a, b in itertools.pairwise(bounds)]
    return _packed("category", [_top(row, counts[row], items.is_available[row], N_KEPT_OF_CATEGORY) for row in rows])


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
