"""From a query to scored candidates: the pool of all sources, the blend, and where it serves the ranker."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.blend import Pool, context_for
from recommender.kernels_rank import best_rows, on_common_scale, on_scale
from recommender.ranker import N_OF_KIND, N_RANKED
from recommender.reasons import Parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from features.journey import Standing
    from recommender.allowance import Allowance
    from recommender.blend import Blend
    from recommender.contract import FloatMatrix, FloatVector, IntVector, Query, Retriever
    from recommender.items import Items
    from recommender.ranker import Ranker
    from recommender.scale import Scale


NOTHING_LOST: Final = np.empty(0)


class Ranking(NamedTuple):
    """Candidates on the common scale, and what is needed to explain some of them.

    ``item_idx`` int32, shape (m,), ascending; ``score`` float64 and ``blend`` float32, shape (m,); ``parts`` float32,
    shape (m, n_sources), as in the pool, and ``weights`` float32, shape (n_sources,), what each source counts;
    ``columns`` float32, shape (n_features, m), or None where the blend serves; ``intercept`` and ``slope`` float32,
    shape (m,), of the scale. ``faded`` float64, shape (m,), is what the score has lost already because the item was
    shown before, None where nothing was.
    """

    item_idx: IntVector
    score: NDArray[np.float64]
    blend: FloatVector
    parts: FloatMatrix
    weights: FloatVector
    columns: FloatMatrix | None
    intercept: FloatVector
    slope: FloatVector
    faded: NDArray[np.float64] | None = None

    def blended(self, chosen: IntVector) -> FloatMatrix:
        """Each source's part in the blend's score of some rows, float32, shape (len(chosen), n_sources)."""
        parts: FloatMatrix = self.parts[chosen] * self.weights
        return parts


@dataclass(frozen=True)
class Ranks:
    """Everything that turns a query into a :class:`Ranking`."""

    retrievers: Sequence[Retriever]
    blend: Blend
    ranker: Ranker | None
    scale: Scale
    items: Items

    def rank(self, query: Query, standing: Standing, pool: Pool, *, live: bool) -> Ranking:
        """What all sources proposed for one query, on one scale; what the blend gives nothing is left out."""
        task = "new" if query.is_unseen_only else "any"
        weights = self.blend.of(task, context_for(query, standing.stage, live=live))
        ranker = self.ranker if (query.has_past or query.has_page) and self._is_ranked(task, live=live) else None
        score: FloatVector = pool.parts @ weights
        kept = best_rows(score, pool.item_idx, self.items.kind, N_RANKED if ranker else len(score), N_OF_KIND)
        if len(kept) < len(score):
            pool, score = Pool(pool.item_idx[kept], pool.parts.take(kept, axis=0), pool.best), score[kept]
        columns = ranker.columns(pool, score, query, standing) if ranker else None
        raw = score if ranker is None or columns is None else ranker.score(columns)
        line = self.scale.of("blend" if columns is None else "ranker")
        scaled, intercept, slope = on_scale(raw, pool.item_idx, self.items.kind, line)
        return Ranking(pool.item_idx, scaled, score, pool.parts, weights, columns, intercept, slope)

    @cached_property
    def _sources(self) -> tuple[str, ...]:
        return tuple(retriever.name for retriever in self.retrievers)

    def _is_ranked(self, task: str, *, live: bool) -> bool:
        return self.ranker is not None and self.ranker.is_for(task, live=live)

    def fade(self, ranking: Ranking, allowance: Allowance) -> Ranking:
        """A ranking in which what was shown without a reaction is worth less.

        Log-odds are lost where scores are such; where they are only positive, the same share of them.
        """
        lost = allowance.lost(self.items.item_key[ranking.item_idx])
        if ranking.columns is None and not self.scale.is_calibrated:
            lost = ranking.score * -np.expm1(-lost)
        return ranking._replace(score=ranking.score - lost, faded=lost)

    def explain(self, ranking: Ranking, chosen: IntVector, blended: FloatMatrix) -> Parts:
        """What each reason adds to the score of some rows; ``base`` is the last one, ``faded`` before it.

        ``blended`` is what :meth:`Ranking.blended` says of them.
        """
        if ranking.columns is None or self.ranker is None:
            codes, parts = self._sources, np.concatenate([blended, np.zeros((len(blended), 1), np.float32)], axis=1)
        else:
            codes, parts = self.ranker.codes, self.ranker.explain(ranking.columns.take(chosen, axis=1), blended)
        lost = NOTHING_LOST if ranking.faded is None else ranking.faded
        last = ("base",) if ranking.faded is None else ("faded", "base")
        return Parts((*codes, *last), on_common_scale(parts, chosen, ranking.slope, ranking.intercept, lost))
