"""Calibration by slope and intercept: Cox 1958, "Two further applications of a model for binary regression".

The logit is read anew as ``intercept + slope * logit``; on logits that are calibrated the slope is 1 and the
intercept 0. Platt 1999 fits a classifier's scores so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_STEPS: Final = 50
PRIOR_SD: Final = 0.5
"""How far from 1 a slope is thought to lie before anything is seen: keeps a small slice from deciding it."""
Z_95: Final = 1.959964


class Line(NamedTuple):
    """Slope and intercept, with the standard error of the slope; ``loss`` is of all rows, with the prior, in nats."""

    slope: float
    intercept: float
    slope_se: float
    loss: float

    @property
    def slope_interval(self) -> tuple[float, float]:
        """The 95 % interval of the slope."""
        return self.slope - Z_95 * self.slope_se, self.slope + Z_95 * self.slope_se


def fit_line(logit: NDArray[np.float64], y: NDArray[np.bool_], *, prior_sd: float = np.inf) -> Line:
    """Most likely slope and intercept by Newton's method; the slope's prior is normal around 1.

    Parameters
    ----------
    logit : float64, shape (n,)
    y : bool, shape (n,)
        With both values where there is no prior.
    """
    x = np.column_stack([logit, np.ones(len(logit))])
    penalty = np.array([1.0 / prior_sd**2, 1e-6])
    at = np.array([1.0, 0.0])
    loss, hessian = _loss(x, y, at, penalty), np.eye(2)
    for _ in range(N_STEPS):
        p = expit(x @ at)
        gradient = x.T @ (p - y) + penalty * (at - [1.0, 0.0])
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty + 1e-9)
        step, share = np.linalg.solve(hessian, gradient), 1.0
        while (found := _loss(x, y, at - share * step, penalty)) > loss and share > 1e-6:
            share /= 2
        at, done, loss = at - share * step, loss - found < 1e-10 * max(1.0, loss), found
        if done:
            break
    slope_se = float(np.sqrt(np.linalg.inv(hessian)[0, 0]))
    return Line(float(at[0]), float(at[1]), slope_se, loss)


def _loss(x: NDArray[np.float64], y: NDArray[np.bool_], at: NDArray[np.float64], penalty: NDArray[np.float64]) -> float:
    z = x @ at
    return float(np.sum(np.logaddexp(0.0, z) - y * z) + 0.5 * penalty @ (at - [1.0, 0.0]) ** 2)
