"""Implicit-feedback ALS with tuned confidence and regularisation; only item factors leave this file.

Hu, Koren and Volinsky 2008; Rendle et al., "Revisiting the performance of iALS on item recommendation
benchmarks", RecSys 2022, for why the strength of both decides nearly everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.codes import Codes
from recommender.retrievers.als import Regularisation, confidence_of
from recommender.retrievers.history import History
from training.fitting.graphs import customer_items
from training.fitting.ials import alternate, spectrum_of, turned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector
    from training.touches import Touches

MIN_ITEMS_A_CUSTOMER: Final = 2


class AlsParams(NamedTuple):
    """What a fit of taste may vary.

    ``strength`` over the root of the share of cells seen is the confidence that an item of weight 1 has beyond an
    untouched one: what is rarely seen says more. ``reg`` is the mean L2 weight over customers and over items,
    which ``nu`` shares out by how much is known of each: from 0, equally, to 1, in proportion.
    ``half_life_days`` and ``power`` are those of :class:`recommender.retrievers.history.History`.
    """

    n_factors: int = 128
    strength: float = 1.5
    reg: float = 100.0
    nu: float = 1.0
    half_life_days: float = 3650.0
    power: float = 0.5
    n_iterations: int = 10


ALS_GRID: Final = (
    AlsParams(),
    AlsParams(n_factors=192, reg=300.0),
    AlsParams(n_factors=192, strength=5.0, reg=30.0),
    AlsParams(strength=5.0, power=1.0),
    AlsParams(strength=0.5, reg=30.0, half_life_days=14.0),
    AlsParams(half_life_days=3.0),
    AlsParams(strength=5.0, half_life_days=3.0, power=1.0),
)


def fit_als(
    touches: Touches, n_items: int, params: AlsParams, touch_weights: FloatVector, *, seed: int
) -> dict[str, NDArray[np.generic]]:
    """Item factors, their spectrum and parameters; empty where no customer has two items.

    Customers with one item say nothing about which items go together and are left out; they are folded in
    at request time like everybody else.
    """
    history = History(params.half_life_days, params.power, touch_weights)
    matrix = customer_items(touches, n_items, history)
    matrix = matrix[np.diff(matrix.indptr) >= MIN_ITEMS_A_CUSTOMER]
    if not matrix.shape[0]:
        return {}
    alpha = params.strength / float(np.sqrt(matrix.nnz / (len(np.unique(matrix.indices)) * matrix.shape[0])))
    matrix.data = confidence_of(matrix.data, alpha) - np.float32(1)
    n_of_row, n_of_column = np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=n_items)
    customers = shared_out(n_of_row, n_items / alpha, params)
    items = shared_out(n_of_column, len(n_of_row) / alpha, params)
    found = alternate(
        matrix,
        min(params.n_factors, *matrix.shape),
        reg_rows=weights_of(customers, n_of_row),
        reg_columns=weights_of(items, n_of_column),
        n_iterations=params.n_iterations,
        seed=seed,
    )
    head = np.array([alpha, *customers], np.float32)
    return with_factors({"als.params": np.concatenate([head, history.to_array()])}, found.columns)


def with_factors(arrays: Mapping[str, NDArray[np.generic]], factors: FloatMatrix) -> dict[str, NDArray[np.generic]]:
    """The arrays with other item factors, turned until their Gram matrix is diagonal, its diagonal, their codes."""
    straight = turned(factors)
    found = {"als.item_factors": straight, "als.spectrum": spectrum_of(straight)}
    return {**arrays, **found, **Codes.of(straight).to_arrays()}


def shared_out(n_seen: NDArray[np.integer], offset: float, params: AlsParams) -> Regularisation:
    """Regularisation ``(n + offset)^nu`` of one side, whose mean over the rows that have entries is ``params.reg``.

    ``offset`` is what was not seen: as many cells as there are, each ``1 / alpha`` of what was.
    """
    known = n_seen[n_seen > 0]
    return Regularisation(float(params.reg / np.mean((known + offset) ** params.nu)), offset, params.nu)


def weights_of(reg: Regularisation, n_seen: NDArray[np.integer]) -> FloatVector:
    """L2 weight of each row, float32."""
    return np.array([reg.of(n) for n in n_seen.tolist()], np.float32)
