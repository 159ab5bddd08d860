"""Learning the common scale: an intercept and a slope a kind, drawn to those of all kinds where there are few."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize

from recommender.items import KINDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector, IntVector

MIN_TOUCHED: Final = 30
"""Touched candidates below which no line is fitted at all."""
PULL: Final = 20.0
"""Strength of the pull of a kind's line to that of all, in touched candidates."""
MIN_SLOPE: Final = 1e-3


def fit_lines(score: FloatVector, is_touched: NDArray[np.bool_], kind: IntVector) -> NDArray[np.float32]:
    """Intercept and slope by kind, shape (3, 2); ``(0, 1)`` where too few were touched.

    Parameters
    ----------
    score : float32, shape (n,)
        Of candidates that were shown or would have been.
    is_touched : bool, shape (n,)
    kind : int32, shape (n,)

    Notes
    -----
    Logistic regression of the touch on the score, Platt 1999.
    """
    if is_touched.sum() < MIN_TOUCHED or is_touched.all():
        return np.tile(np.array([0, 1], np.float32), (len(KINDS), 1))
    everything = _line(score, is_touched, np.array([0.0, 1.0]), 0.0)
    lines = [everything] * len(KINDS)
    for code in range(len(KINDS)):
        of_kind = kind == code
        if of_kind.any() and not is_touched[of_kind].all():
            lines[code] = _line(score[of_kind], is_touched[of_kind], everything, PULL)
    return np.array(lines, np.float32)


def _line(
    score: FloatVector, is_touched: NDArray[np.bool_], prior: NDArray[np.float64], pull: float
) -> NDArray[np.float64]:
    x, y = score.astype(np.float64), is_touched.astype(np.float64)
    spread = max(float(x.std()), 1e-6)

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = line[0] + line[1] * x
        away = (line - prior) * (1.0, spread)
        off = 1 / (1 + np.exp(-logit)) - y
        value = np.logaddexp(0, logit).sum() - (y * logit).sum() + pull / 2 * (away**2).sum()
        return float(value), np.array([off.sum(), (off * x).sum()]) + pull * away * (1.0, spread)

    start = prior if pull else np.array([np.log(y.mean() / (1 - y.mean())), 1.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), (MIN_SLOPE, None)])
    line: NDArray[np.float64] = found.x
    return line
