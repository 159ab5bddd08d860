"""What the ranker sees of a candidate: its sources, the item, the customer's past with it, and where they stand.

One row of float32 a feature, as the trees go through them, and one place in it a candidate; the same compiled loop
makes what the ranker learns from and what it ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from recommender.contract import ArraySpec
from recommender.describe import MINUTE_US, NEVER, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from features.journey import Standing
    from recommender.blend import Pool
    from recommender.contract import FloatMatrix, FloatVector, IntVector, Query
    from recommender.items import Items

ITEM_FACTS: Final = ("popularity", "customers", "trend", "cart_rate", "buy_rate", "repeat_rate", "gap_days", "price")
"""Columns of ``facts.item``; ``gap_days`` is 0 where nobody bought the item twice."""

PAIR: Final = (
    *("own_views", "own_likes", "own_carts", "own_buys", "own_age", "own_in_session", "own_place"),
    *("bought_days", "bought_age", "bought_due"),
    *("category_share", "category_age", "category_of_page", "price_distance"),
)
CUSTOMER: Final = (
    *("stage_awareness", "stage_engagement", "stage_transaction", "stage_retention", "is_at_risk", "stage_age"),
    *("is_live", "touches", "items", "touch_age", "session_touches", "buy_days", "buy_age", "repeat_share"),
    *("page_items", "is_unseen_only"),
)
STAGE_FEATURES: Final = CUSTOMER[:6]
"""What a ranker that is blind to stages does not see."""

COUNTING: Final = frozenset({"popular", "trending", "fresh", "category", "recent", "frequent", "repeat", "tifu"})
"""Sources whose scores are sums over the log or a history: what one says itself means something else a month later."""


def feature_names(sources: tuple[str, ...]) -> tuple[str, ...]:
    """What each of :func:`columns_of` is, for a model of some sources."""
    of_item = (*ITEM_FACTS, "item_age", "is_content", "is_action")
    said = (f"{sources[column]}_strength" for column in telling(sources))
    return (*sources, *(f"{source}_place" for source in sources), *said, "blend", *of_item, *PAIR, *CUSTOMER)


def telling(sources: tuple[str, ...]) -> IntVector:
    """Columns of the sources of which the ranker also sees what they say themselves, not only beside their best."""
    return np.array([column for column, source in enumerate(sources) if source not in COUNTING], np.int32)


def blend_column(sources: tuple[str, ...]) -> int:
    """Where the blend's score stands among :func:`feature_names`."""
    return feature_names(sources).index("blend")


def reason_codes(sources: tuple[str, ...]) -> tuple[str, ...]:
    """Code of the reason that each feature belongs to, by :func:`feature_names`; ``blend`` is shared by its sources."""
    of_item = (*("popular",) * 3, "converts", "converts", "due", "due", "price", "fresh", "kind", "kind")
    of_pair = (*("own",) * 7, *("due",) * 3, *("taste",) * 3, "price")
    return (
        *sources,
        *sources,
        *(sources[column] for column in telling(sources)),
        "blend",
        *of_item,
        *of_pair,
        *("stage",) * 6,
        *("moment",) * (len(CUSTOMER) - 6),
    )


@dataclass(frozen=True)
class Facts:
    """What is known of items beside the catalogue.

    Attributes
    ----------
    item : float32, shape (n_items, len(ITEM_FACTS))
    first_seen_day : int32, shape (n_items,)
        UTC day of the publication or the first touch; 0 when unknown.
    """

    item: FloatMatrix
    first_seen_day: IntVector
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "facts.item": ArraySpec("float32", 2),
        "facts.first_seen_day": ArraySpec("int32", 1),
    }

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Facts:
        """Of a bundle's arrays."""
        return cls(*(arrays[name] for name in cls.arrays))  # type: ignore[arg-type]


def columns_of(
    pool: Pool, told: IntVector, blend: FloatVector, query: Query, standing: Standing, items: Items, facts: Facts
) -> FloatMatrix:
    """Features of a pool's items, in its order.

    Parameters
    ----------
    pool
        ``item_idx`` ascending.
    told : int32, shape (k,)
        As :func:`telling`.
    blend : float32, shape (m,)
        The blend's score of each item.

    Returns
    -------
    float32, shape (n_features, m)
        Finite; each feature of all items in one piece.
    """
    return describe(
        pool.item_idx,
        np.ascontiguousarray(pool.parts),
        pool.best,
        told,
        blend,
        facts.item,
        facts.first_seen_day,
        items.kind,
        items.category,
        query.touch_idx,
        query.touch_at,
        query.touch_counts,
        query.bought_idx,
        query.bought_day,
        query.anchor_idx,
        query.now,
        _standing(query, standing),
        query.is_unseen_only,
    )


def _standing(query: Query, standing: Standing) -> FloatVector:
    """Columns of ``STAGE_FEATURES``, the same for every candidate."""
    is_at = [standing.stage == name for name in ("awareness", "engagement", "transaction", "retention")]
    since = NEVER if standing.since is None else math.log1p(max(0, query.now - standing.since) / MINUTE_US)
    return np.array([*is_at, standing.at_risk, since], np.float32)
