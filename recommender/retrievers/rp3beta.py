"""Random walks: from what this customer touched to its customers, and on to what else they touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from recommender.retrievers.graph import Liked, liked_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommender.contract import ArraySpec


class Rp3Beta(Liked):
    """Items that a walk of three steps reaches, popular ones discounted (Paudel et al. 2017)."""

    name: ClassVar[str] = "rp3beta"
    arrays: ClassVar[Mapping[str, ArraySpec]] = liked_arrays("rp3beta")
