"""From rows and what came of them to the calibrated model of one move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.move_features import MOVE_FEATURES, REASON_OF, value_of_nobody
from recommender.moves import MoveModel, Term
from training.fitting.calibrate import PRIOR_SD, Line, fit_line
from training.fitting.stumps import NOTHING_BEGUN, TOP, Additive, Shape, fit_stumps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.journey import Stage

    FloatMatrix = NDArray[np.float64]
    FloatVector = NDArray[np.float64]

MAX_FEATURES: Final = 14
"""A model keeps the features that move its logit most: fewer to compute at each request, fewer to explain."""
MIN_SLOPE: Final = 0.1
RATE: Final = MOVE_FEATURES.index("order_rate")
RATES: Final = np.geomspace(1e-4, 30.0, 64)
"""Ends of the steps that a line in the logarithm of the order rate is cut into."""
RATE_PRIOR_SD: Final = 10.0
"""Of the line's slope: hardly any."""
LIKE_ORDERS: Final = frozenset(("order", "touch"))
"""Signals of moves that the order rate may speak for."""
FREE: Final = frozenset(
    ("purchase_overdue_ratio", "mean_purchase_gap_days", "last_order_age_days", "fulfilled_age_days", "hour", "weekday")
)
"""Features that may raise a chance here and lower it there; of the others, more and later deeds only favour a move."""
TROUBLES: Final = frozenset(("return_share", "n_support", "last_support_age_days"))
"""May speak for or against a move that is something done; against one that is nothing done, as any sign of life."""


class Target(NamedTuple):
    """A move from a stage within a horizon; ``is_absence`` where it happens by nothing happening."""

    move: str
    stage: Stage
    horizon_days: int
    signal: str
    is_absence: bool


class Slice(NamedTuple):
    """Rows of one stretch of time: features, shape (n, n_features), and what came of each, shape (n,)."""

    x: FloatMatrix
    y: NDArray[np.bool_]


def fit_move(target: Target, earlier: Slice, later: Slice, *, seed: int) -> MoveModel | None:
    """Fit on one slice of time, calibrate on a later one; None where what was learned does not hold there.

    The calibrating slope and intercept are folded into the steps, so that these still add up to the logit.
    """
    found = [_shaped(target, earlier, later, begun, seed) for begun in (NOTHING_BEGUN, *_of_rate(target, earlier))]
    columns, additive, line = min(found, key=lambda one: one.line.loss)
    if line.slope < MIN_SLOPE or not additive.shapes:
        return None
    base, terms = line.intercept + line.slope * additive.base, []
    for place, shape in additive.shapes.items():
        name = MOVE_FEATURES[columns[place]]
        value = shape.value * line.slope
        start = _start(name, additive, place, earlier.x[:, columns]) * line.slope
        base += start
        terms.append(Term(name, shape.upper.tolist(), (value - start).tolist()))
    return MoveModel(target.move, target.stage, target.horizon_days, base, tuple(terms))


class _Shaped(NamedTuple):
    """Shapes of some columns, and how they are calibrated on the later slice."""

    columns: list[int]
    additive: Additive
    line: Line


def _shaped(target: Target, earlier: Slice, later: Slice, begun: Additive, seed: int) -> _Shaped:
    """Stumps on top of what is begun with: on all features, then on those that count."""
    columns = _columns(fit_stumps(*earlier, later, _signs(target), seed=seed, begun=begun), earlier.x)
    signs = [_signs(target)[column] for column in columns]
    few = Slice(earlier.x[:, columns], earlier.y), Slice(later.x[:, columns], later.y)
    kept = {columns.index(c): shape for c, shape in begun.shapes.items() if c in columns}
    start = Additive(begun.base, kept) if kept else NOTHING_BEGUN
    additive = fit_stumps(*few[0], few[1], signs, seed=seed, begun=start)
    return _Shaped(columns, additive, fit_line(additive(few[1].x), later.y, prior_sd=PRIOR_SD))


def _of_rate(target: Target, earlier: Slice) -> list[Additive]:
    """The logit as a straight line in the logarithm of the order rate that BG/NBD expects, in many small steps.

    Stumps alone end where cases grow few: who has been silent for longer than anybody before counts as if for as long.
    None where orders are not what the move is about, or the line goes the wrong way.
    """
    rate = earlier.x[:, RATE]
    if target.signal not in LIKE_ORDERS or not (rate > 0).any():
        return []
    logs = np.log(np.clip(rate, RATES[0], RATES[-1]))
    line = fit_line(logs, earlier.y, prior_sd=RATE_PRIOR_SD)
    if line.slope * (-1 if target.is_absence else 1) <= 0:
        return []
    steps = np.log(np.concatenate([RATES[:1], np.sqrt(RATES[1:] * RATES[:-1]), RATES[-1:]]))
    return [Additive(line.intercept, {RATE: Shape(np.append(RATES, TOP), line.slope * steps)})]


def _columns(additive: Additive, x: FloatMatrix) -> list[int]:
    """Columns of the features that count, ascending."""
    spread = {column: float(np.std(shape(x[:, column]))) for column, shape in additive.shapes.items()}
    return sorted(sorted(spread, key=lambda column: (-spread[column], column))[:MAX_FEATURES]) or [0]


def _signs(target: Target) -> list[int]:
    """1 where the chance may only rise with a feature, -1 only fall, 0 either."""
    toward = -1 if target.is_absence else 1
    free = FREE if target.is_absence else FREE | TROUBLES
    return [0 if name in free else -toward if name.endswith("_age_days") else toward for name in MOVE_FEATURES]


def _start(name: str, additive: Additive, place: int, x: FloatMatrix) -> float:
    """The value that a feature's contributions are measured from."""
    shape, code = additive.shapes[place], REASON_OF[name].code
    if code == "clock":
        return float(shape(x[:, place]).mean())
    return shape.of_one(0.0 if code == "silence" else value_of_nobody(name))
