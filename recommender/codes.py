"""Factors at a byte a number, to find the best rows of a dot product without reading all of them at full width.

A dot product with every item is bound by memory: codes are a quarter of the factors. They only choose; what they
choose is scored with the factors themselves, so the answer is that of the full product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from features.errors import BundleCorrupt
from recommender.contract import ArraySpec
from recommender.kernels_factors import within_reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector, IntVector

GREATEST: Final = 127


@dataclass(frozen=True)
class Codes:
    """Rows of factors as whole multiples of a unit of their own.

    Attributes
    ----------
    codes : int8, shape (n_items, n_factors)
    bounds : float32, shape (n_items, 3)
        Unit of each row, > 0; norm of what its codes leave out; its norm.
    """

    codes: NDArray[np.int8]
    bounds: FloatMatrix

    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "als.codes": ArraySpec("int8", 2),
        "als.code_bounds": ArraySpec("float32", 2),
    }

    @classmethod
    def of(cls, factors: FloatMatrix) -> Codes:
        """Of some factors; a row that is not finite is never chosen."""
        finite = np.where(np.isfinite(factors).all(axis=1, keepdims=True), factors, np.float32(0))
        unit = np.maximum(np.abs(finite).max(axis=1, initial=0) / GREATEST, np.finfo(np.float32).tiny)
        codes = np.rint(finite / unit[:, None]).astype(np.int8)
        residual = finite - codes * unit[:, None]
        norms = (np.linalg.norm(rows, axis=1) for rows in (residual, finite))
        return cls(codes, np.stack([unit, *norms], axis=1).astype(np.float32))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], factors: FloatMatrix) -> Codes:
        """Those that a bundle holds; made anew for a bundle from before they were stored.

        Raises
        ------
        BundleCorrupt
            They are not of as many rows and factors.
        """
        if not set(cls.arrays) <= set(arrays):
            return cls.of(factors)
        found = cls(*(arrays[name] for name in cls.arrays))  # type: ignore[arg-type]
        if found.codes.shape != factors.shape or found.bounds.shape != (len(factors), 3):
            raise BundleCorrupt(f"als.codes, als.code_bounds: expected codes of {factors.shape} factors.")
        return found

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """As a bundle holds them."""
        return dict(zip(self.arrays, (self.codes, self.bounds), strict=True))

    @cached_property
    def _by_bound(self) -> FloatMatrix:
        """``bounds`` turned, shape (3, n_items): each in one piece, for SIMD."""
        return np.ascontiguousarray(self.bounds.T)

    def within_reach(self, taste: FloatVector, allowed: NDArray[np.bool_], n: int) -> IntVector:
        """Rows, ascending, among which are the ``n`` best allowed ones; a small multiple of ``n`` of them."""
        return within_reach(self.codes, self._by_bound, np.ascontiguousarray(taste, np.float32), allowed, n)
