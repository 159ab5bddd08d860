"""The second stage: trees that correct the blend by everything known of customer, item and moment.

A score is the blend's times a slope, and what each tree adds to it.

Learned in ``training/ranking.py``. It serves only where validation preferred it to the blend; the others
keep the blend, and the bundle says which is which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from recommender.blend import TASKS
from recommender.candidates import Facts, blend_column, columns_of, feature_names, reason_codes, telling
from recommender.contract import ArraySpec
from recommender.kernels_rank import divided
from recommender.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from features.journey import Standing
    from recommender.blend import Pool
    from recommender.contract import FloatMatrix, FloatVector, Query
    from recommender.items import Items

N_RANKED: Final = 200
"""How many of a pool's candidates, by the blend, are ranked."""
N_OF_KIND: Final = 20
"""How many of each kind are ranked in any case: a slate is to hold some, however little they are touched."""


class Ranker:
    """Trees over candidates of the sources that it was trained with.

    Attributes
    ----------
    serves : bool, shape (2, 2)
        By task (``TASKS``) and whether a session is running: where validation preferred it to the blend.
    codes : tuple of str
        The reasons that features belong to; each source is one of them.
    """

    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        **{f"ranker.{name}": spec for name, spec in Trees.arrays.items()},
        "ranker.slope": ArraySpec("float32", 1),
        "ranker.serves": ArraySpec("bool", 2),
        "ranker.n_sources": ArraySpec("int32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], items: Items, sources: tuple[str, ...]) -> None:
        self._trees = Trees(arrays, "ranker")
        self._slope, self._column = float(arrays["ranker.slope"][0]), blend_column(sources)
        self._items, self._facts = items, Facts.of(arrays)
        self.serves: NDArray[np.bool_] = arrays["ranker.serves"]  # type: ignore[assignment]
        self.sources, self._told = sources, telling(sources)
        self.codes = tuple(dict.fromkeys(reason_codes(sources)))
        self._group = np.array([self.codes.index(code) for code in reason_codes(sources)], np.int32)
        self._blend = self.codes.index("blend")

    @classmethod
    def fits(cls, arrays: Mapping[str, NDArray[np.generic]], sources: tuple[str, ...]) -> bool:
        """Whether a bundle holds a ranker for just these sources."""
        if not set(cls.arrays) <= set(arrays):
            return False
        return int(arrays["ranker.n_sources"][0]) == len(sources)

    def is_for(self, task: str, *, live: bool) -> bool:
        """Whether it ranks this kind of request."""
        return bool(self.serves[TASKS.index(task), int(live)])

    def columns(self, pool: Pool, blend: FloatVector, query: Query, standing: Standing) -> FloatMatrix:
        """Features of a pool's items, in its order; float32, shape (n_features, n)."""
        return columns_of(pool, self._told, blend, query, standing, self._items, self._facts)

    def score(self, columns: FloatMatrix) -> FloatVector:
        """Of each item, float32, shape (n,); greater is better, comparable within one request."""
        score: FloatVector = np.float32(self._slope) * columns[self._column] + self._trees.score(columns)
        return score

    def explain(self, columns: FloatMatrix, blended: FloatMatrix) -> FloatMatrix:
        """What each of ``codes``, and at last the base, adds to each score; shape (n, n_codes + 1).

        Parameters
        ----------
        blended : float32, shape (n, n_sources)
            Each source's part in the blend's score: it carries that share of what the blend's score adds.
        """
        parts = self._trees.explain(columns, self._group, len(self.codes))
        return divided(parts, blended, columns[self._column], self._blend, self._slope)

    @property
    def names(self) -> tuple[str, ...]:
        """What each of :meth:`columns` is."""
        return feature_names(self.sources)
