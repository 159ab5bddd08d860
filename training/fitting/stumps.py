"""Additive models of a yes or no: boosted stumps, which add up to one step function a feature.

A tree of one split is a function of one feature, so the sum of all trees is a generalised additive model
whose shapes can be written down, and an explanation is exact. Lou, Caruana and Gehrke 2012, "Intelligible
models for classification and regression", KDD.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import lightgbm as lgb
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    FloatMatrix = NDArray[np.float64]
    FloatVector = NDArray[np.float64]

N_ROUNDS: Final = 400
PATIENCE: Final = 30
PARAMS: Final[dict[str, Any]] = {
    "objective": "binary",
    "num_leaves": 2,
    "max_bin": 63,
    "learning_rate": 0.1,
    "lambda_l2": 5.0,
    "feature_pre_filter": False,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
TOP: Final = np.finfo(np.float64).max


class Shape(NamedTuple):
    """A step function of one feature.

    ``upper`` float64, shape (m,): ascending upper ends of the steps, inclusive, the last one ``TOP``;
    ``value`` float64, shape (m,).
    """

    upper: FloatVector
    value: FloatVector

    def __call__(self, x: FloatVector) -> FloatVector:
        """Values at ``x``, shape (n,)."""
        return self.value[np.searchsorted(self.upper, x)]

    def of_one(self, x: float) -> float:
        """Value at one point."""
        return float(self.value[np.searchsorted(self.upper, x)])

    def __add__(self, other: Shape) -> Shape:  # type: ignore[override]
        upper = np.union1d(self.upper, other.upper)
        return Shape(upper, self(upper) + other(upper))


class Additive(NamedTuple):
    """``base`` and a shape for each feature (its column) that has one; the logit is their sum."""

    base: float
    shapes: dict[int, Shape]

    def __call__(self, x: FloatMatrix) -> FloatVector:
        """Logits, float64, shape (n,)."""
        logit = np.full(len(x), self.base)
        for column, shape in self.shapes.items():
            logit += shape(x[:, column])
        return logit

    def __add__(self, other: Additive) -> Additive:  # type: ignore[override]
        columns = sorted({*self.shapes, *other.shapes})
        shapes = {c: self.shapes.get(c, FLAT) + other.shapes.get(c, FLAT) for c in columns}
        return Additive(self.base + other.base, shapes)


FLAT: Final = Shape(np.array([TOP]), np.zeros(1))
NOTHING_BEGUN: Final = Additive(0.0, {})


def fit_stumps(
    x: FloatMatrix,
    y: NDArray[np.bool_],
    later: tuple[FloatMatrix, NDArray[np.bool_]],
    signs: Sequence[int],
    *,
    seed: int,
    begun: Additive = NOTHING_BEGUN,
) -> Additive:
    """Boost stumps on one slice of time until they no longer help on a later one.

    Parameters
    ----------
    x : float64, shape (n, n_features)
    signs : sequence of int
        A feature: 1 where the chance may only rise with it, -1 only fall, 0 either.
    begun : Additive, optional
        What the stumps are added to.
    """
    params = PARAMS | {"monotone_constraints": list(signs), "seed": seed, "min_data_in_leaf": max(20, len(y) // 400)}
    # Without anything begun LightGBM begins with the mean; a start of its own would have to be climbed out of.
    starts = (begun(x), begun(later[0])) if begun.shapes else (None, None)
    how = {"params": params, "free_raw_data": False}
    train = lgb.Dataset(x, y.astype(np.float64), init_score=starts[0], **how)
    valid = lgb.Dataset(later[0], later[1].astype(np.float64), reference=train, init_score=starts[1], **how)
    stop = lgb.early_stopping(PATIENCE, verbose=False)
    booster = lgb.train(params, train, N_ROUNDS, valid_sets=[valid], callbacks=[stop])
    return begun + additive_of(booster.dump_model(num_iteration=booster.best_iteration)["tree_info"])


def additive_of(trees: Sequence[dict[str, Any]]) -> Additive:
    """The sum of trees of at most one split, as LightGBM dumps them."""
    base, steps = 0.0, defaultdict(list)
    for tree in trees:
        root = tree["tree_structure"]
        if "split_feature" not in root:
            base += root["leaf_value"]
            continue
        left, right = root["left_child"]["leaf_value"], root["right_child"]["leaf_value"]
        base += left
        steps[root["split_feature"]].append((root["threshold"], right - left))
    return Additive(base, {column: _shape(found) for column, found in sorted(steps.items())})


def _shape(steps: list[tuple[float, float]]) -> Shape:
    """Shape of steps up (or down) just after their thresholds; 0 before the first one."""
    at, inverse = np.unique([threshold for threshold, _ in steps], return_inverse=True)
    rise = np.bincount(inverse, [height for _, height in steps])
    return Shape(np.append(at, TOP), np.append(0.0, np.cumsum(rise)))
