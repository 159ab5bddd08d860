"""Personal taste: implicit-feedback ALS, with the customer folded in at request time.

The bundle holds item factors only. A customer who arrived a second ago is personal at once, and an
erased one is gone at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recommender.contract import (
    NOTHING,
    ArraySpec,
    Candidates,
    FloatMatrix,
    FloatVector,
    IntVector,
    Query,
    best_of_dense,
)
from recommender.retrievers.history import item_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items

MAX_FOLD_IN = 500


class Als:
    """Dot product of the folded-in customer with every item.

    ``als.params`` = (alpha, reg, half-life in days, six touch weights).
    """

    name: ClassVar[str] = "als"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "als.item_factors": ArraySpec("float32", 2),
        "als.gram": ArraySpec("float32", 2),
        "als.params": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._factors: FloatMatrix = arrays["als.item_factors"]  # type: ignore[assignment]
        self._gram: FloatMatrix = arrays["als.gram"]  # type: ignore[assignment]
        params: FloatVector = arrays["als.params"]  # type: ignore[assignment]
        self._alpha, self._reg, self._half_life_days = (float(x) for x in params[:3])
        self._touch_weights = params[3:9]

    def retrieve(self, query: Query, n: int) -> Candidates:
        """The items nearest to the customer's taste."""
        item_idx, weight = item_weights(query, self._touch_weights, self._half_life_days)
        confidence = confidence_of(weight, self._alpha)
        if len(query.anchor_idx):
            item_idx = np.concatenate([item_idx, query.anchor_idx])
            confidence = np.concatenate([confidence, np.full(len(query.anchor_idx), 1 + self._alpha, np.float32)])
        if not len(item_idx):
            return NOTHING
        if len(item_idx) > MAX_FOLD_IN:
            strongest = np.argsort(-confidence, kind="stable")[:MAX_FOLD_IN]
            item_idx, confidence = item_idx[strongest], confidence[strongest]
        taste = fold_in(self._factors, self._gram, item_idx, confidence, reg=self._reg)
        scores = self._factors @ taste
        return best_of_dense(scores, n, query.is_allowed)


def confidence_of(weight: FloatVector, alpha: float) -> FloatVector:
    """Total confidence of a weighted interaction, ``1 + alpha * log(1 + weight)``; never below 1."""
    return (1 + alpha * np.log1p(weight)).astype(np.float32)


def fold_in(
    item_factors: FloatMatrix, gram: FloatMatrix, item_idx: IntVector, confidence: FloatVector, *, reg: float
) -> FloatVector:
    """Latent vector of a customer the model never saw, from their interactions alone.

    One row of the implicit-feedback ALS normal equations, so a cold customer needs no retraining.

    Parameters
    ----------
    item_factors : float32, shape (n_items, n_factors)
    gram : float32, shape (n_factors, n_factors)
        ``item_factors.T @ item_factors``, precomputed in the bundle.
    item_idx : int32, shape (n_seen,)
        Each in ``[0, n_items)``.
    confidence : float32, shape (n_seen,)
        Total confidence of each; dimensionless, >= 1.
    reg : float
        L2 weight, > 0.

    Returns
    -------
    float32, shape (n_factors,)
        Zeros when ``n_seen == 0``.

    Notes
    -----
    O(n_seen f^2 + f^3). Hu, Koren and Volinsky 2008, eq. 4.
    """
    seen = item_factors[item_idx]
    normal = gram + (seen.T * (confidence - 1)) @ seen
    normal.flat[:: len(normal) + 1] += np.float32(reg)
    solution: FloatVector = np.linalg.solve(normal, seen.T @ confidence).astype(np.float32)
    return solution
