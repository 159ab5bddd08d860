"""What is popular within the categories that the customer looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from recommender.contract import ArraySpec, Candidates, FloatVector, IntVector, Query
from recommender.kernels_category import popular_within

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from recommender.items import Items

N_RECENT = 10
N_CATEGORIES = 5
RECENCY = 0.8
"""Weight of a touch over that of the touch after it."""


class CategoryPopular:
    """Popular items per category; the customer's last categories count by recency.

    The score of an item is the weight of its category times its decayed count over that of the
    category's first item.
    """

    name: ClassVar[str] = "category"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "category.indptr": ArraySpec("int64", 1),
        "category.item_idx": ArraySpec("int32", 1),
        "category.score": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        self._indptr: NDArray[np.int64] = arrays["category.indptr"]  # type: ignore[assignment]
        self._item_idx: IntVector = arrays["category.item_idx"]  # type: ignore[assignment]
        self._score: FloatVector = arrays["category.score"]  # type: ignore[assignment]
        self._category = items.category

    def retrieve(self, query: Query, n: int) -> Candidates:
        """Popular items of the last few categories; nothing for a customer without any."""
        return Candidates(
            *popular_within(
                query.anchor_idx,
                query.touch_idx,
                self._category,
                self._indptr,
                self._item_idx,
                self._score,
                query.mask,
                N_RECENT,
                N_CATEGORIES,
                RECENCY,
                n,
            )
        )
