"""Item-kNN: items whose customers are the customers of what this customer touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from recommender.retrievers.graph import Liked, liked_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommender.contract import ArraySpec


class Cosine(Liked):
    """Neighbours by cosine with shrinkage (Sarwar et al. 2001)."""

    name: ClassVar[str] = "cosine"
    arrays: ClassVar[Mapping[str, ArraySpec]] = liked_arrays("cosine")
