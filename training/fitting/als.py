"""Implicit-feedback ALS with tuned weight and regularisation; only item factors leave this file.

Hu, Koren and Volinsky 2008; Rendle et al., "Revisiting the performance of iALS", RecSys 2022, for why the
strength of the regularisation and of the confidence decide nearly everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from training.fitting.graphs import customer_items

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.contract import FloatVector
    from training.touches import Touches

MIN_ITEMS_A_CUSTOMER = 2


class AlsParams(NamedTuple):
    """``alpha`` is the weight of ``log(1 + weighted touches)`` in the confidence; half-life in days."""

    n_factors: int = 64
    alpha: float = 20.0
    reg: float = 5.0
    half_life_days: float = 60.0
    n_iterations: int = 15


def fit_als(
    touches: Touches, n_items: int, params: AlsParams, touch_weights: FloatVector, *, seed: int
) -> dict[str, NDArray[np.generic]]:
    """Item factors and their Gram matrix; empty where no customer has two items.

    Customers with one item say nothing about which items go together and are left out; they are folded in
    at request time like everybody else.
    """
    from implicit.als import AlternatingLeastSquares

    matrix = customer_items(touches, n_items, touch_weights, params.half_life_days)
    matrix.data = 1 + params.alpha * np.log1p(matrix.data)
    matrix = matrix[np.diff(matrix.indptr) >= MIN_ITEMS_A_CUSTOMER]
    if not matrix.shape[0]:
        return {}
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=params.n_factors,
            regularization=params.reg,
            alpha=1.0,
            iterations=params.n_iterations,
            use_gpu=False,
            random_state=seed,
        )
        model.fit(matrix, show_progress=False)
    factors = np.ascontiguousarray(model.item_factors, np.float32)
    # An item that no fitted customer touched keeps the noise it was initialised with.
    factors[np.bincount(matrix.indices, minlength=n_items) == 0] = 0
    head = np.array([params.alpha, params.reg, params.half_life_days, *touch_weights], np.float32)
    return {"als.item_factors": factors, "als.gram": factors.T @ factors, "als.params": head}
