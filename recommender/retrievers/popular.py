"""What many customers touch now: decayed popularity, by kind and locale."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recommender.contract import NOTHING, ArraySpec, Candidates, FloatVector, IntVector, Query, best, first
from recommender.items import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.items import Items

LOCALE_SHARE = 0.5
"""Part of the score that popularity within the locale gives, where the locale is known."""


class Popular:
    """Lists of popular items per context, a context being a kind, alone or within a locale.

    The score of an item is its decayed count over that of its context's first item.
    """

    name: ClassVar[str] = "popular"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "popular.context": ArraySpec("int32", 2),
        "popular.indptr": ArraySpec("int64", 1),
        "popular.item_idx": ArraySpec("int32", 1),
        "popular.score": ArraySpec("float32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        bounds = arrays["popular.indptr"].tolist()
        item_idx: IntVector = arrays["popular.item_idx"]  # type: ignore[assignment]
        score: FloatVector = arrays["popular.score"]  # type: ignore[assignment]
        self._lists = {
            (kind, locale): (item_idx[a:b], score[a:b])
            for (kind, locale), a, b in zip(arrays["popular.context"].tolist(), bounds[:-1], bounds[1:], strict=True)
        }
        codes = (-1, *range(len(items.locales)))
        subsets = [chosen for size in range(1, len(KINDS) + 1) for chosen in combinations(KINDS, size)]
        self._ranked = {(kinds, code): self._merged(kinds, code) for kinds in subsets for code in codes}
        self._items = items

    def retrieve(self, query: Query, n: int) -> Candidates:
        """The most popular items of the kinds asked for, those of the customer's locale lifted."""
        kinds = tuple(kind for kind in KINDS if kind in query.kinds)
        ranked = self._ranked.get((kinds, self._items.locale_code(query.locale)), NOTHING)
        return first(*ranked, query, n)

    def _merged(self, kinds: tuple[str, ...], code: int) -> Candidates:
        """Everything that a context proposes, best first; done once, since a filter keeps the order."""
        parts = [part for kind in kinds if (part := self._of_kind(KINDS.index(kind), code)) is not None]
        if not parts:
            return NOTHING
        item_idx, score = (np.concatenate(column) for column in zip(*parts, strict=True))
        return best(item_idx, score, len(item_idx))

    def _of_kind(self, kind: int, code: int) -> tuple[IntVector, FloatVector] | None:
        overall = self._lists.get((kind, -1))
        if overall is None:
            return None
        within = self._lists.get((kind, code)) if code >= 0 else None
        if within is None:
            return overall
        unique, inverse = np.unique(np.concatenate([overall[0], within[0]]), return_inverse=True)
        both = np.concatenate([(1 - LOCALE_SHARE) * overall[1], LOCALE_SHARE * within[1]])
        return unique.astype(np.int32), np.bincount(inverse, both).astype(np.float32)
