"""Personal taste: implicit-feedback ALS, with the customer folded in at request time.

The bundle holds item factors only. A customer who arrived a second ago is personal at once, and an
erased one is gone at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np

from recommender.codes import Codes
from recommender.contract import (
    NOTHING,
    ArraySpec,
    Candidates,
    FloatMatrix,
    FloatVector,
    IntVector,
    Query,
)
from recommender.kernels_factors import folded_few, nearest
from recommender.retrievers.history import N_PARAMS, History

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items

MAX_FOLD_IN: Final = 500
FEW: Final = 48
"""Items up to which one compiled loop is quicker than the library's products and solver."""
MIN_SURPLUS: Final = 1e-3
"""Least confidence of a touched item above that of an untouched one."""


class Regularisation(NamedTuple):
    """L2 weight of a customer with ``n`` items, ``scale * (n + offset) ^ nu``.

    Frequency-scaled as in Rendle et al., "Revisiting the performance of iALS on item recommendation
    benchmarks", RecSys 2022; with ``nu`` 0 it is the same for everybody.
    """

    scale: float
    offset: float
    nu: float

    def of(self, n: int) -> float:
        """For one customer, > 0."""
        return float(self.scale * (n + self.offset) ** self.nu)


class Als:
    """Dot product of the folded-in customer with every item.

    ``als.spectrum`` is the diagonal of ``item_factors.T @ item_factors``, which has no other entries: the
    fit turns its axes that way. ``als.params`` = (alpha; scale, offset and nu of the regularisation;
    half-life in days, power, six touch weights). Codes of the factors (:class:`Codes`) say which items to score.
    """

    name: ClassVar[str] = "als"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "als.item_factors": ArraySpec("float32", 2),
        "als.spectrum": ArraySpec("float32", 1),
        "als.params": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._factors: FloatMatrix = arrays["als.item_factors"]  # type: ignore[assignment]
        self._spectrum: FloatVector = arrays["als.spectrum"]  # type: ignore[assignment]
        self._codes = Codes.of_arrays(arrays, self._factors)
        params: FloatVector = arrays["als.params"]  # type: ignore[assignment]
        self._alpha = float(params[0])
        self._reg = Regularisation(*(float(x) for x in params[1:4]))
        self._history = History.of_array(params[4 : 4 + N_PARAMS])

    def retrieve(self, query: Query, n: int) -> Candidates:
        """The items nearest to the customer's taste."""
        item_idx, weight = self._history.with_anchors(query)
        if not len(item_idx):
            return NOTHING
        if len(item_idx) > MAX_FOLD_IN:
            strongest = np.argsort(-weight, kind="stable")[:MAX_FOLD_IN]
            item_idx, weight = item_idx[strongest], weight[strongest]
        reg = self._reg.of(len(item_idx))
        taste = fold_in(self._factors, self._spectrum, item_idx, confidence_of(weight, self._alpha), reg=reg)
        return Candidates(*nearest(self._factors, self._codes.within_reach(taste, query.mask, n), taste, n))


def confidence_of(weight: FloatVector, alpha: float) -> FloatVector:
    """Total confidence of a weighted interaction, ``1 + alpha * weight``; above 1, which is that of no touch."""
    confidence: FloatVector = (1 + np.maximum(alpha * weight, MIN_SURPLUS)).astype(np.float32)
    return confidence


def fold_in(
    item_factors: FloatMatrix, spectrum: FloatVector, item_idx: IntVector, confidence: FloatVector, *, reg: float
) -> FloatVector:
    """Latent vector of a customer the model never saw, from their interactions alone.

    One row of the implicit-feedback ALS normal equations, so a cold customer needs no retraining.

    Parameters
    ----------
    item_factors : float32, shape (n_items, n_factors)
        With columns at right angles.
    spectrum : float32, shape (n_factors,)
        Diagonal of ``item_factors.T @ item_factors``.
    item_idx : int32, shape (n_seen,)
        Unique, each in ``[0, n_items)``.
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
    Hu, Koren and Volinsky 2008, eq. 4. With ``D = diag(spectrum + reg)``, ``Y`` the factors of the items seen and
    ``E`` their confidences less one, ``(D + Y'EY) x = Y'c`` is solved by ``x = D^-1 Y' (I + E Y D^-1 Y')^-1 c``
    where fewer items than factors were seen: O(min(n_seen, f)^2 max(n_seen, f)).
    """
    if len(item_idx) <= FEW:
        return folded_few(item_factors, spectrum, item_idx, confidence, reg)
    seen = item_factors[item_idx]
    surplus = confidence - 1
    diagonal = spectrum + np.float32(reg)
    if len(item_idx) < len(spectrum):
        scaled = seen / diagonal
        small = surplus[:, None] * (seen @ scaled.T)
        small.flat[:: len(small) + 1] += 1
        by_items: FloatVector = np.linalg.solve(small, confidence) @ scaled
        return by_items
    normal = (seen.T * surplus) @ seen
    normal.flat[:: len(normal) + 1] += diagonal
    by_factors: FloatVector = np.linalg.solve(normal, seen.T @ confidence)
    return by_factors
