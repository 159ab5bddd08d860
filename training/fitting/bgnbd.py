"""BG/NBD: who still buys, and how much, from three numbers a customer.

Fader, Hardie and Lee 2005, "'Counting your customers' the easy way: an alternative to the Pareto/NBD model",
Marketing Science 24. Customers buy at a gamma-distributed rate and drop out after any purchase with a
beta-distributed chance. Any unit of time will do, as long as it is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

from recommender.move_features import Alive, alive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatVector = NDArray[np.float64]

START = (1.0, 1.0, 1.0, 1.0)
BOUND = 12.0
"""The logarithm of a parameter is kept within this: data that says little would let it run away."""


class Histories(NamedTuple):
    """Orders of customers, each float64, shape (n,): repeat orders, time from the first to the last, and to now."""

    x: FloatVector
    t_x: FloatVector
    age: FloatVector


class BgNbd(NamedTuple):
    """Fitted parameters and the log-likelihood that they reach."""

    parameters: Alive
    log_likelihood: float


def fit_bgnbd(histories: Histories, *, ridge: float = 0.0) -> BgNbd:
    """Maximum likelihood by L-BFGS on the logarithms of the parameters.

    Parameters
    ----------
    ridge : float
        Weight a customer of the squared logarithms; keeps little data from running away.
    """
    rows, counts = np.unique(np.column_stack(histories), axis=0, return_counts=True)
    few = Histories(*rows.T)
    scale = max(float(few.age.mean()), 1e-9)
    unit = Histories(few.x, few.t_x / scale, few.age / scale)
    n = counts.sum()

    def loss(logs: FloatVector) -> float:
        parameters = Alive(*np.exp(logs).tolist())
        return float(-(counts @ log_likelihoods(unit, parameters)) / n + ridge * (logs @ logs))

    found = minimize(
        loss,
        np.log(START),
        method="L-BFGS-B",
        bounds=[(-BOUND, BOUND)] * len(START),
        options={"ftol": 1e-13, "gtol": 1e-9},
    )
    r, alpha, a, b = np.exp(found.x).tolist()
    parameters = Alive(r, alpha * scale, a, b)
    return BgNbd(parameters, float(counts @ log_likelihoods(few, parameters)))


def log_likelihoods(histories: Histories, parameters: Alive) -> FloatVector:
    """Log-likelihood of each customer, shape (n,); eq. 6 of the paper."""
    x, t_x, age = histories
    r, alpha, a, b = parameters
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    stays = betaln(a, b + x) - (r + x) * np.log(alpha + age)
    leaves = betaln(a + 1, b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
    found: FloatVector = common + np.where(x > 0, np.logaddexp(stays, leaves), stays)
    return found


def p_alive(histories: Histories, parameters: Alive) -> FloatVector:
    """Chance that each customer still buys, shape (n,)."""
    found: FloatVector = alive(histories.x + 1, histories.t_x, histories.age, parameters)
    return found


def expected_purchases(histories: Histories, parameters: Alive, ahead: float) -> FloatVector:
    """Purchases expected of each customer within ``ahead`` from now, shape (n,); eq. 10 of the paper, ``a != 1``."""
    x, _, age = histories
    r, alpha, a, b = parameters
    fall = ((alpha + age) / (alpha + age + ahead)) ** (r + x)
    series = hyp2f1(r + x, b + x, a + b + x - 1, ahead / (alpha + age + ahead))
    found: FloatVector = (a + b + x - 1) / (a - 1) * (1 - fall * series) * p_alive(histories, parameters)
    return found
