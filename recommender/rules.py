"""What is held back after retrieval, each with its why: unavailable, just bought, already read, in the cart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from features.events import DAY_US
from recommender.kernels_rules import whys
from recommender.query import rows_of_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import IntVector, Query
    from recommender.items import Items
    from recommender.overlay import CatalogOverlay
    from recommender.slate import SlateRequest

WHYS: Final = ("", "in_cart", "already_read", "just_bought", "unavailable")
"""Names of what :func:`recommender.kernels_rules.whys` finds."""


@dataclass(frozen=True)
class Rules:
    """Thresholds of the rules, in days.

    Content is for reading once; what was read ``read_days`` ago may come again. In the cart is what was carted within
    ``cart_days`` and neither taken out nor bought since, and what the caller names.
    """

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
    found = whys(
        item_idx,
        _is_available(item_idx, items, overlay),
        items.kind,
        query.touch_idx,
        query.touch_at,
        query.touch_counts,
        query.bought_idx,
        query.bought_day,
        rows_of_ids(request.cart, items),
        query.now - rules.cart_days * DAY_US,
        query.now - rules.read_days * DAY_US,
        query.now // DAY_US - rules.bought_days,
    )
    at = np.flatnonzero(found)
    return dict(zip(item_idx[at].tolist(), [WHYS[why] for why in found[at].tolist()], strict=True))


def _is_available(item_idx: IntVector, items: Items, overlay: CatalogOverlay) -> NDArray[np.bool_]:
    is_available: NDArray[np.bool_] = items.is_available[item_idx]
    if not overlay.items:
        return is_available
    # Candidates are looked up in the overlay, never the other way round: it can hold the whole catalogue.
    changes = map(overlay.items.get, items.item_key[item_idx].tolist())
    now = [was if item is None else item.available for item, was in zip(changes, is_available.tolist(), strict=True)]
    return np.array(now, np.bool_)
