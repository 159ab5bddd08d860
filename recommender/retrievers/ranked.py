"""One ranked list for everybody: the common half of the sources that know nothing of the customer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommender.contract import ArraySpec, Candidates, FloatVector, IntVector, Query, first

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


def ranked_arrays(name: str) -> dict[str, ArraySpec]:
    """Declared arrays of one list: items and their scores, best first."""
    return {f"{name}.item_idx": ArraySpec("int32", 1), f"{name}.score": ArraySpec("float32", 1)}


class Ranked:
    """Items of all kinds in one order, so many of each kind.

    Attributes
    ----------
    item_idx : int32, shape (m,)
    score : float32, shape (m,)
        Descending, > 0; ties by ascending item.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], name: str) -> None:
        self.item_idx: IntVector = arrays[f"{name}.item_idx"]  # type: ignore[assignment]
        self.score: FloatVector = arrays[f"{name}.score"]  # type: ignore[assignment]

    def first(self, query: Query, n: int) -> Candidates:
        """The first ``n`` of those that may be proposed."""
        return first(self.item_idx, self.score, query, n)
