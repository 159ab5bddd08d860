"""One scale for everything: scores as log-odds that the customer will touch the item, whatever its kind.

The score of a source blend or of a ranker says which of two items of one kind is better. ``a + b * score``
by kind, fitted on later cases (Platt 1999), makes it the log-odds of a touch, so that a product, an article
and an action can be compared, and a score of one model with that of another.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recommender.contract import ArraySpec
from recommender.items import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix

SYSTEMS = ("blend", "ranker")


class Scale:
    """Intercept and slope by system and kind.

    Attributes
    ----------
    line : float32, shape (2, 3, 2)
        By ``SYSTEMS`` and ``KINDS``: intercept and slope; slopes > 0.
    """

    arrays: ClassVar[Mapping[str, ArraySpec]] = {"scale.line": ArraySpec("float32", 3)}

    def __init__(self, line: NDArray[np.float32]) -> None:
        self.line = line

    @classmethod
    def plain(cls) -> Scale:
        """Scores as they are: where there were too few cases to learn a scale from."""
        return cls(np.tile(np.array([0, 1], np.float32), (len(SYSTEMS), len(KINDS), 1)))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Scale:
        """Of a bundle's arrays."""
        return cls(arrays["scale.line"]) if "scale.line" in arrays else cls.plain()  # type: ignore[arg-type]

    @cached_property
    def is_calibrated(self) -> bool:
        """Whether scores are log-odds."""
        return not np.array_equal(self.line, Scale.plain().line)

    def of(self, system: str) -> FloatMatrix:
        """Intercept and slope by kind, float32, shape (3, 2)."""
        line: FloatMatrix = self.line[SYSTEMS.index(system)]
        return line
