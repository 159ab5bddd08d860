"""What is popular within the categories that the customer looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recommender.contract import NOTHING, ArraySpec, Candidates, FloatVector, IntVector, Query, best, summed

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        seeds = np.concatenate([query.anchor_idx, query.touch_idx[::-1]])[:N_RECENT]
        category, weight = self._category[seeds], RECENCY ** np.arange(len(seeds))
        known = category >= 0
        if not known.any():
            return NOTHING
        codes, weights = summed(category[known], weight[known].astype(np.float32))
        top = np.argsort(-weights, kind="stable")[:N_CATEGORIES]
        parts = [self._of(int(code), float(share)) for code, share in zip(codes[top], weights[top], strict=True)]
        return best(*query.allow(*(np.concatenate(column) for column in zip(*parts, strict=True))), n)

    def _of(self, code: int, share: float) -> tuple[IntVector, FloatVector]:
        a, b = self._indptr[code], self._indptr[code + 1]
        return self._item_idx[a:b], self._score[a:b] * np.float32(share)
