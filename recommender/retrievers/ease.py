"""EASE: every item predicted from all others at once, so that what two neighbours share counts once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from recommender.retrievers.graph import Liked, liked_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommender.contract import ArraySpec


class Ease(Liked):
    """Regression weights between items (Steck 2019); a negative one says that an item speaks against another."""

    name: ClassVar[str] = "ease"
    arrays: ClassVar[Mapping[str, ArraySpec]] = liked_arrays("ease")
