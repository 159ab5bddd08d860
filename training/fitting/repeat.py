"""Learning what is due again, for ``recommender/retrievers/repeat.py``.

Everybody's own items are looked at as of a few earlier days, with what was bought again within the horizon
after them: a logistic regression gives the hazard. Intervals and rates of an item are drawn to those of its
category, and these to all items', by as much as few repeats deserve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.events import DAY_US
from recommender.retrievers.repeat import NEVER, hazard_terms
from training.fitting.baskets import Baskets, baskets_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, IntVector
    from recommender.items import Items
    from training.touches import Touches

    Reals = NDArray[np.float64]

MIN_REPEATS: Final = 100
"""With fewer repeat purchases to learn from there is no hazard to speak of."""
MAX_ROWS: Final = 400_000
MIN_PRIOR: Final = 0.05
N_TERMS: Final = 4


class RepeatParams(NamedTuple):
    """How repurchase is learned.

    ``horizon_days`` is how far ahead an item is due, at most a quarter of the log; ``n_cutoffs`` earlier days
    are learned from. ``shrink`` repeats of its category count as much as an item's own. Items that fewer than
    ``min_rate`` of their customers buy again are not proposed. ``ridge`` draws coefficients to 0.
    """

    horizon_days: int = 30
    n_cutoffs: int = 2
    shrink: float = 30.0
    min_rate: float = 0.02
    ridge: float = 1.0


REPEAT_GRID: Final = (
    RepeatParams(),
    RepeatParams(n_cutoffs=1),
    RepeatParams(horizon_days=14, n_cutoffs=3),
    RepeatParams(horizon_days=7, n_cutoffs=3),
)


class Owned(NamedTuple):
    """A row a customer and item bought: on how many days, the first and the last; int32, shape (n,)."""

    customer_idx: IntVector
    item_idx: IntVector
    n_days: IntVector
    first_day: IntVector
    last_day: IntVector


def fit_repeat(touches: Touches, items: Items, params: RepeatParams) -> dict[str, NDArray[np.generic]]:
    """Hazard, and lift and interval of every item; empty with too few repeats."""
    baskets = baskets_of(touches)
    if not len(baskets.day):
        return {}
    today, span = touches.until // DAY_US, int(touches.until // DAY_US - baskets.day.min())
    horizon = min(params.horizon_days, span // 4)
    cutoffs = [today - horizon * (1 + i) for i in range(params.n_cutoffs)] if horizon else []
    rows = [_learned(baskets, items.category, cutoff, horizon, params) for cutoff in cutoffs]
    x, y = _sampled(np.concatenate([x for x, _ in rows]), np.concatenate([y for _, y in rows])) if rows else ((), ())
    if np.sum(y) < MIN_REPEATS:
        return {}
    beta = logit_fit(np.asarray(x), np.asarray(y), params.ridge)
    gap, rate, about = _of_items(baskets, items.category, today, horizon, params)
    lift = np.where(rate >= params.min_rate, beta[0] + about @ beta[1 + N_TERMS :], NEVER)
    return {
        "repeat.gap_days": gap.astype(np.float32),
        "repeat.lift": lift.astype(np.float32),
        "repeat.hazard": beta[1 : 1 + N_TERMS].astype(np.float32),
    }


def owned_of(baskets: Baskets) -> Owned:
    """What every customer ever bought, sorted by customer and item."""
    order = np.lexsort((baskets.day, baskets.item_idx, baskets.customer_idx))
    customer, item, day = baskets.customer_idx[order], baskets.item_idx[order], baskets.day[order]
    first = np.flatnonzero(_starts(customer, item))
    last = np.append(first, len(order))[1:] - 1
    return Owned(customer[first], item[first], (last - first + 1).astype(np.int32), day[first], day[last])


def gap_days(baskets: Baskets, category: IntVector, shrink: float) -> Reals:
    """Usual interval between two purchases of an item by one customer: geometric means, shape (n_items,).

    Drawn to the category's and then to all items', as ``shrink`` intervals of them.
    """
    order = np.lexsort((baskets.day, baskets.item_idx, baskets.customer_idx))
    item, day = baskets.item_idx[order], baskets.day[order]
    again = np.flatnonzero(~_starts(baskets.customer_idx[order], item))
    log_gap = np.log(day[again] - day[again - 1])
    n_items = len(category)
    total = np.bincount(item[again], log_gap, n_items).astype(np.float64)
    gaps: Reals = np.exp(drawn(total, _counts(item[again], n_items), category, shrink))
    return gaps


def repeat_rate(owned: Owned, category: IntVector, shrink: float) -> Reals:
    """Share of an item's customers who bought it on another day too, drawn as the intervals; shape (n_items,)."""
    n_items = len(category)
    again = _counts(owned.item_idx[owned.n_days > 1], n_items)
    return drawn(again, _counts(owned.item_idx, n_items), category, shrink)


def _counts(rows: IntVector, size: int) -> Reals:
    return np.bincount(rows, minlength=size).astype(np.float64)


def drawn(total: Reals, n: Reals, category: IntVector, shrink: float) -> Reals:
    """Means ``total / n``, each as if ``shrink`` more of its category's mean were in it, and that of all's."""
    overall = total.sum() / max(1.0, float(n.sum()))
    code = category + 1
    size = int(code.max(initial=0)) + 1
    of_category = (np.bincount(code, total, size) + shrink * overall) / (np.bincount(code, n, size) + shrink)
    of_category[0] = overall
    means: Reals = (total + shrink * of_category[code]) / (n + shrink)
    return means


def logit_fit(x: FloatMatrix, y: NDArray[np.bool_], ridge: float) -> Reals:
    """Intercept and coefficients of a logistic regression, shape (1 + n_columns,), by Newton's method.

    Columns are standardised while ``ridge`` is applied; the intercept is free.
    """
    mean, scale = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64) + 1e-9
    design = np.column_stack([np.ones(len(x)), (x - mean) / scale])
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 1e-9
    beta = np.zeros(design.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        hessian = (design.T * (chance * (1 - chance))) @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, design.T @ (y - chance) - penalty * beta)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    slopes = beta[1:] / scale
    return np.concatenate([[beta[0] - slopes @ mean], slopes])


def _starts(customer: IntVector, item: IntVector) -> NDArray[np.bool_]:
    """Which rows, sorted by customer and item, are the first of their pair."""
    is_first = np.ones(len(item), np.bool_)
    is_first[1:] = (np.diff(customer) != 0) | (np.diff(item) != 0)
    return is_first


def _of_items(
    baskets: Baskets, category: IntVector, today: int, horizon: int, params: RepeatParams
) -> tuple[Reals, Reals, Reals]:
    """Interval and rate of every item, and what its lift depends on: rate, and how popular it is at three paces."""
    gap = gap_days(baskets, category, params.shrink)
    rate = repeat_rate(owned_of(baskets), category, params.shrink)
    age, n_items = today - baskets.day, len(category)
    paces = [np.bincount(baskets.item_idx, np.exp2(-age / (horizon * pace)), n_items) for pace in (0.25, 1, 8)]
    columns = [np.log(rate + 1e-3), *(np.log(0.5 + pace) for pace in paces)]
    return gap, rate, np.column_stack(columns)


def _learned(
    baskets: Baskets, category: IntVector, cutoff: int, horizon: int, params: RepeatParams
) -> tuple[FloatMatrix, NDArray[np.bool_]]:
    """Terms and outcome of every owned item as of a day, of the customers who bought anything within the horizon."""
    known = baskets.before(cutoff)
    after = baskets.where((baskets.day >= cutoff) & (baskets.day < cutoff + horizon))
    owned = owned_of(known)
    keep = np.isin(owned.customer_idx, after.customer_idx)
    owned = Owned(*(column[keep] for column in owned))
    gap, _, about = _of_items(known, category, cutoff, horizon, params)
    terms = hazard_terms(*owned[2:], cutoff, gap[owned.item_idx].astype(np.float32))
    x = np.column_stack([terms, about[owned.item_idx]]).astype(np.float32)
    return x, np.isin(_pairs(owned, len(category)), _pairs(after, len(category)))


def _pairs(rows: Owned | Baskets, n_items: int) -> NDArray[np.int64]:
    return rows.customer_idx.astype(np.int64) * n_items + rows.item_idx


def _sampled(x: FloatMatrix, y: NDArray[np.bool_]) -> tuple[FloatMatrix, NDArray[np.bool_]]:
    """At most ``MAX_ROWS`` rows, evenly from all."""
    step = -(-len(y) // MAX_ROWS)
    return (x[::step], y[::step]) if step > 1 else (x, y)
