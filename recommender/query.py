"""From the customer's state and the request to a query in rows of the bundle's vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from features.ids import key64
from recommender.contract import TOUCHES, IntVector, Query
from recommender.items import KINDS
from recommender.kernels_query import known_purchases, known_touches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from numpy.typing import NDArray

    from recommender.items import Items
    from recommender.slate import SlateRequest

SESSION_GAP_US = 30 * 60 * 1_000_000
STAGE_BITS = {"awareness": 1, "engagement": 2, "transaction": 4, "retention": 8}
_SEEN_KEYS = 3
_SEEN_WIDTH = _SEEN_KEYS + len(TOUCHES)
_BOUGHT_WIDTH = 6
_NO_ROWS = np.empty(0, np.int32)


def query_of(state: Any, request: SlateRequest, items: Items, now: int, stage: str) -> Query:
    """The query of one customer at one moment.

    Parameters
    ----------
    state : features.state.Schema.State
    now : int
        Microseconds; touches at or after it are left out.
    stage : str
        Where the customer stands; items made for other stages are left out when rules apply.
    """
    touch_idx, touch_at, touch_counts = _touches(state, items, now)
    bought_idx, bought_day, bought_n = _bought(state, items)
    locale = request.locale or (state.locale[2] if state.locale else None)
    allowed = _allowed(request, items, locale, stage, touch_idx, bought_idx)
    return Query(
        now=now,
        touch_idx=touch_idx,
        touch_at=touch_at,
        touch_counts=touch_counts,
        bought_idx=bought_idx,
        bought_day=bought_day,
        bought_n=bought_n,
        anchor_idx=rows_of_ids(request.anchors, items),
        locale=locale,
        kinds=tuple(kind for kind in KINDS if kind in request.kinds),
        text=request.text,
        is_allowed=allowed,
        is_unseen_only=request.unseen_only,
    )


def rows_of_ids(item_ids: Collection[str], items: Items) -> IntVector:
    """Rows of the ids that the bundle knows, in the order given, each once."""
    if not item_ids:
        return _NO_ROWS
    keys = np.array([key64(item_id) for item_id in dict.fromkeys(item_ids)], np.int64)
    rows = items.rows_of(keys)
    return rows[rows >= 0]


def is_live(state: Any, now: int) -> bool:
    """Whether the customer is in the middle of a session: a touch within the last 30 minutes."""
    return state.last_touch is not None and now - state.last_touch <= SESSION_GAP_US


def _touches(state: Any, items: Items, now: int) -> tuple[IntVector, NDArray[np.int64], IntVector]:
    seen = np.array(state.seen, np.int64).reshape(-1, _SEEN_WIDTH)
    return known_touches(seen, items.item_key, now)


def _bought(state: Any, items: Items) -> tuple[IntVector, IntVector, IntVector]:
    bought = np.array(state.bought, np.int64).reshape(-1, _BOUGHT_WIDTH)
    return known_purchases(bought, items.item_key)


def _allowed(
    request: SlateRequest, items: Items, locale: str | None, stage: str, touch_idx: IntVector, bought_idx: IntVector
) -> NDArray[np.bool_] | None:
    """Mask of what may be proposed; None, which is faster, where that is everything."""
    masks = [mask for mask in _masks(request, items, locale, stage) if mask is not None]
    left_out = rows_of_ids(request.exclude, items)
    if request.unseen_only:
        left_out = np.concatenate([left_out, touch_idx, bought_idx])
    if not masks and not len(left_out):
        return None
    if len(masks) == 1 and not len(left_out):
        return masks[0]
    allowed: NDArray[np.bool_] = np.logical_and.reduce(masks) if masks else np.ones(len(items), np.bool_)
    allowed[left_out] = False
    return allowed


def _masks(request: SlateRequest, items: Items, locale: str | None, stage: str) -> Iterable[NDArray[np.bool_] | None]:
    yield items.of_kinds(request.kinds)
    if request.candidates is not None:
        only = np.zeros(len(items), np.bool_)
        only[rows_of_ids(request.candidates, items)] = True
        yield only
    if request.categories:
        yield items.in_categories(request.categories)
    if request.apply_rules:
        yield items.suited(STAGE_BITS[stage], locale)
