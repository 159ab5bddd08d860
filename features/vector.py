"""The features of a customer at a moment: one kernel over a state table, the same bytes whoever built it.

Everything is counted in integers; a division is the last step of the feature that needs one. So a vector
depends neither on the order in which events came, nor on the engine, nor on the rows beside it.

Units are in the names: ``_days``, ``_minutes``; money is in minor units. A ratio is capped at ``MAX_RATIO``
and an age at ``MAX_AGE_DAYS``, which is also the age of what never happened. There is no NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from features.events import DAY_US
from features.groups import FlatRecords
from features.state_fields import CHANNELS
from features.state_table import NEVER, StateTable
from features.weights import DAY_WEIGHT_NAMES, DAY_WEIGHTS, HALF_LIVES_DAYS, ONE, WINDOWS_DAYS
from features.weights import MAX_AGE_DAYS as MAX_WEIGHT_AGE

__all__ = ["FEATURE_NAMES", "StateTable", "vectors"]

if TYPE_CHECKING:
    from features.state_table import LongVector

FloatMatrix: TypeAlias = NDArray[np.float64]
Column: TypeAlias = NDArray[Any]

MAX_AGE_DAYS: Final = 400.0
MAX_RATIO: Final = 10.0
SESSION_GAP_US: Final = 30 * 60 * 1_000_000
MINUTE_US: Final = 60 * 1_000_000
HOUR_US: Final = 3_600 * 1_000_000
_MAX_AGE_US: Final = int(MAX_AGE_DAYS) * DAY_US
BLOCK: Final = 4_096
"""Customers at a time: bounds the memory of records laid out one by one."""

DECAYED: Final = ("view", "read", "cart", "buy")
WINDOWED: Final = ("touch", "active", "buy")
DAY_FEATURES: Final = (
    *((source, f"h{h}d") for source in DECAYED for h in HALF_LIVES_DAYS),
    *((source, f"{w}d") for source in WINDOWED for w in WINDOWS_DAYS),
    ("active", "ever"),
)
"""Sums over the day records: what, with which weight. ``active`` is 1 a day with a touch."""

_WEIGHT_OF_FEATURE: Final = [DAY_WEIGHT_NAMES.index(weight) for _, weight in DAY_FEATURES]

AGES: Final = (
    *("last_touch", "last_view", "last_read", "last_search", "last_cart", "last_checkout", "last_order"),
    *("last_support", "first_touch"),
)
COUNTS: Final = (
    *("n_page", "n_search", "n_view", "n_read", "n_like", "n_cart", "n_checkout", "n_review", "n_support", "n_survey"),
    *("n_open", "n_click", "n_unsubscribe", *(f"n_{channel}" for channel in CHANNELS)),
    *("n_order", "n_cancelled", "n_units", "spend"),
)

PURCHASE_NAMES: Final = ("purchase_days", "mean_purchase_gap_days", "purchase_overdue_ratio")
MONEY_NAMES: Final = ("mean_order", "return_share")
SESSION_NAMES: Final = (
    *("session_touches", "session_views", "session_reads", "session_carts", "session_items", "session_categories"),
    *("session_minutes", "session_is_live"),
)
SEEN_NAMES: Final = ("seen_items", "seen_twice_items", "cart_items", "top_category_share")
BOUGHT_NAMES: Final = ("bought_items", "repeat_items", "repeat_share", "item_overdue_ratio")
CLOCK_NAMES: Final = ("hour", "weekday")

FEATURE_NAMES: Final[tuple[str, ...]] = (
    *(f"{source}_{weight}" for source, weight in DAY_FEATURES),
    *PURCHASE_NAMES,
    *(f"{name}_age_days" for name in AGES),
    *COUNTS,
    *MONEY_NAMES,
    *SESSION_NAMES,
    *SEEN_NAMES,
    *BOUGHT_NAMES,
    *CLOCK_NAMES,
)
"""Columns of :func:`vectors`. ``h7d`` is a count decayed with a half-life of 7 days, ``7d`` one over the last 7
days with today; days, hours and weekdays (Monday is 0) are UTC. ``session_*`` is the latest session: touches
without a gap of more than 30 minutes. An item is in the cart when it was put there after it was last taken
out or bought, bought repeatedly when bought on several days; overdue is the time since the last purchase
in mean gaps, of any purchase and of the item for which it is longest."""


def vectors(table: StateTable, now: LongVector) -> FloatMatrix:
    """Features of each customer at a moment.

    Parameters
    ----------
    table : StateTable
        ``n`` states; what happened after ``now`` counts as happening at it.
    now : int64, shape (n,)
        Microseconds since 1970 UTC.

    Returns
    -------
    float64, shape (n, len(FEATURE_NAMES))
        Finite.
    """
    if len(table) <= BLOCK:
        return _vectors(table, now)
    blocks = [np.arange(at, min(at + BLOCK, len(table))) for at in range(0, len(table), BLOCK)]
    return np.concatenate([_vectors(table.take(block), now[block]) for block in blocks])


def _vectors(table: StateTable, now: LongVector) -> FloatMatrix:
    today = now // DAY_US
    days, seen = FlatRecords.of(table, "days"), FlatRecords.of(table, "seen")
    columns = [
        *_day_sums(days, today).T,
        *_purchases(days, today),
        *_ages_days(table, now).T,
        *_counts(table).T,
        *_money(table),
        *_session(seen, now),
        *_seen(seen),
        *_bought(FlatRecords.of(table, "bought"), today),
        now // HOUR_US % 24,
        (today + 3) % 7,
    ]
    features = np.empty((len(table), len(columns)))
    for i, column in enumerate(columns):
        features[:, i] = column
    return features


def _day_sums(days: FlatRecords, today: LongVector) -> FloatMatrix:
    age = np.clip(today[days.owner] - days["day"], 0, MAX_WEIGHT_AGE)
    sources = {name: days[name] for name in DECAYED} | {"touch": days["touch"]}
    sources["active"] = (sources["touch"] > 0).astype(np.int64)
    counts = np.column_stack([sources[name] for name, _ in DAY_FEATURES])
    return days.sum(counts * DAY_WEIGHTS[age][:, _WEIGHT_OF_FEATURE]) / ONE


def _purchases(days: FlatRecords, today: LongVector) -> list[Column]:
    bought = days.where(days["buy"] > 0)
    n, first, last = bought.count(), bought.first(bought["day"]), bought.last(bought["day"])
    mean_gap = _ratio(last - first, n - 1, cap=MAX_AGE_DAYS)
    return [n, mean_gap, _overdue(today - last, last - first, n)]


def _overdue(silence: LongVector, span: LongVector, n: LongVector) -> Column:
    """Days since the last of ``n`` purchases in mean gaps; 0 before there is a gap to speak of."""
    return _ratio(np.maximum(silence, 0) * (n - 1), np.where(n > 1, span, 0), cap=MAX_RATIO)


def _ages_days(table: StateTable, now: LongVector) -> FloatMatrix:
    at = table.extremes[:, [table.extreme_names.index(name) for name in AGES]]
    age_us = np.clip(now[:, None] - np.maximum(at, 0), 0, _MAX_AGE_US)
    return np.where(at == NEVER, _MAX_AGE_US, age_us) / DAY_US


def _counts(table: StateTable) -> NDArray[np.int64]:
    return table.totals[:, [table.total_names.index(name) for name in COUNTS]]


def _money(table: StateTable) -> list[Column]:
    spend, returned = table.total("spend"), table.total("returned")
    return [_ratio(spend, table.total("n_buy")), _ratio(returned, spend, cap=1.0)]


def _session(seen: FlatRecords, now: LongVector) -> list[Column]:
    """Counts of each customer's latest session."""
    at = seen["t"]
    is_first = np.ones(len(seen), np.bool_)
    is_first[1:] = (np.diff(at) > SESSION_GAP_US) | (np.diff(seen.owner) > 0)
    number = np.cumsum(is_first, dtype=np.int64)
    session = seen.where(number == seen.last(number)[seen.owner])
    start, end = session.first(session["t"]), session.last(session["t"])
    n = session.count()
    return [
        n,
        *(session.sum(session[name]) for name in ("views", "reads", "carts")),
        session.by("item").count(),
        _categories(session).by("cat").count(),
        (end - start) / MINUTE_US,
        (n > 0) & (now - end <= SESSION_GAP_US),
    ]


def _seen(seen: FlatRecords) -> list[Column]:
    items = seen.by("item")
    put, out, bought = (
        items.greatest(np.where(seen[name] > 0, seen["t"], -1)) for name in ("carts", "uncarts", "buys")
    )
    in_category = _categories(seen)
    categories = in_category.by("cat")
    touches = categories.sum(np.ones(len(in_category), np.int64))
    return [
        items.count(),
        items.count(items.sum(seen["views"] + seen["reads"]) >= 2),
        items.count(put > np.maximum(out, bought)),
        _ratio(categories.most(touches), in_category.count()),
    ]


def _categories(seen: FlatRecords) -> FlatRecords:
    return seen.where(seen["cat"] != 0)


def _bought(bought: FlatRecords, today: LongVector) -> list[Column]:
    items = bought.by("item")
    n, first, last = (
        items.sum(np.ones(len(bought), np.int64)),
        items.least(bought["day"]),
        items.greatest(bought["day"]),
    )
    n_items, n_repeat = items.count(), items.count(last > first)
    overdue = _overdue(today[items.owner] - last, last - first, n)
    return [n_items, n_repeat, _ratio(n_repeat, n_items), items.most(overdue)]


def _ratio(part: Column, whole: Column, cap: float = np.inf) -> Column:
    """``part / whole`` in ``[0, cap]``; 0 where there is no whole."""
    ratio = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return np.clip(ratio, 0.0, cap)
