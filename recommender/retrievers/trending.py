"""What rises now: touched more than it used to be, on all channels together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from recommender.retrievers.ranked import Ranked, ranked_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from recommender.contract import ArraySpec, Candidates, Query
    from recommender.items import Items


class Trending:
    """Items by how far their present rate exceeds their long-run rate; see ``training/fitting/trending.py``."""

    name: ClassVar[str] = "trending"
    arrays: ClassVar[Mapping[str, ArraySpec]] = ranked_arrays("trending")

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items) -> None:
        del items
        self._ranked = Ranked(arrays, self.name)

    def retrieve(self, query: Query, n: int) -> Candidates:
        """What rises most."""
        return self._ranked.first(query, n)
