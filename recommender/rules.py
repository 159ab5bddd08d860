"""What is held back after retrieval, each with its why: unavailable, just bought, already read, in the cart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from features.events import DAY_US
from recommender.contract import TOUCHES
from recommender.items import KINDS
from recommender.query import rows_of_ids

if TYPE_CHECKING:
    from recommender.contract import IntVector, Query
    from recommender.items import Items
    from recommender.overlay import CatalogOverlay
    from recommender.slate import SlateRequest

_READS, _CARTS, _UNCARTS, _BUYS = (TOUCHES.index(name) for name in ("reads", "carts", "uncarts", "buys"))
_CONTENT = KINDS.index("content")


@dataclass(frozen=True)
class Rules:
    """Thresholds of the rules, in days."""

    bought_days: int = 14
    cart_days: int = 3
    read_days: int = 365


def held_back(
    query: Query, item_idx: IntVector, request: SlateRequest, items: Items, overlay: CatalogOverlay, rules: Rules
) -> dict[int, str]:
    """Which of some candidates may not be shown now, and why; the first reason that holds.

    Parameters
    ----------
    item_idx : int32, shape (m,)
        Candidates.
    """
    why = dict.fromkeys(_in_cart(query, request, items, rules).tolist(), "in_cart")
    why |= dict.fromkeys(_already_read(query, items, rules).tolist(), "already_read")
    why |= dict.fromkeys(_just_bought(query, rules).tolist(), "just_bought")
    candidates = set(item_idx.tolist())
    held = {row: reason for row, reason in why.items() if row in candidates}
    return held | dict.fromkeys(_unavailable(item_idx, items, overlay).tolist(), "unavailable")


def _unavailable(item_idx: IntVector, items: Items, overlay: CatalogOverlay) -> IntVector:
    is_available = items.is_available[item_idx]
    if overlay.items:
        # Candidates are looked up in the overlay, never the other way round: it can hold the whole catalogue.
        changes = map(overlay.items.get, items.item_key[item_idx].tolist())
        now = [
            was if item is None else item.available for item, was in zip(changes, is_available.tolist(), strict=True)
        ]
        is_available = np.array(now, np.bool_)
    return item_idx[~is_available]


def _just_bought(query: Query, rules: Rules) -> IntVector:
    recent = query.bought_day > query.now // DAY_US - rules.bought_days
    return query.bought_idx[recent]


def _already_read(query: Query, items: Items, rules: Rules) -> IntVector:
    """Content is for reading once; what was read a year ago may come again."""
    recent = query.touch_at > query.now - rules.read_days * DAY_US
    read = query.touch_idx[recent & (query.touch_counts[:, _READS] > 0)]
    content: IntVector = read[items.kind[read] == _CONTENT]
    return content


def _in_cart(query: Query, request: SlateRequest, items: Items, rules: Rules) -> IntVector:
    """Items carted within ``cart_days`` and neither taken out nor bought since, and those the caller names."""
    recent = query.touch_at > query.now - rules.cart_days * DAY_US
    touched, counts = query.touch_idx[recent], query.touch_counts[recent]
    last = dict(zip(touched.tolist(), np.zeros(len(touched), int).tolist(), strict=True))
    for row, count in zip(touched.tolist(), counts.tolist(), strict=True):
        if count[_UNCARTS] or count[_BUYS]:
            last[row] = 0
        elif count[_CARTS]:
            last[row] = 1
    own = np.array([row for row, in_cart in last.items() if in_cart], np.int32)
    return np.concatenate([own, rows_of_ids(request.cart, items)])
