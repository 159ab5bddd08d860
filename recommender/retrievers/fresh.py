"""What is new: items by age, with what is expected of their category and known of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from recommender.contract import ArraySpec
from recommender.retrievers.ranked import Ranked, ranked_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from recommender.contract import Candidates, IntVector, Query
    from recommender.items import Items

NEVER_SEEN = -1


class Fresh:
    """New items, the most promising first; see ``training/fitting/fresh.py``.

    Attributes
    ----------
    first_seen_day : int32, shape (n_items,)
        UTC day on which an item was published or first touched; ``NEVER_SEEN`` where neither is known.
    """

    name: ClassVar[str] = "fresh"
    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        **ranked_arrays("fresh"),
        "fresh.first_seen_day": ArraySpec("int32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._ranked = Ranked(arrays, self.name)
        self.first_seen_day: IntVector = arrays["fresh.first_seen_day"]  # type: ignore[assignment]

    def retrieve(self, query: Query, n: int) -> Candidates:
        """What is new and promises most."""
        return self._ranked.first(query, n)
