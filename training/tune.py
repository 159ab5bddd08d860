"""Tune: hyper-parameters of every source, each chosen alone on the validation cases.

A grid small enough to run with every training; what a longer search finds goes into the same ``Recipe``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from features.events import DAY_US
from recommender.items import Items
from recommender.query import query_of
from recommender.retrievers import RETRIEVERS
from recommender.slate import SlateRequest
from training.fit import Recipe, fit_source
from training.fitting.own import FREQUENT_GRID
from training.fitting.repeat import REPEAT_GRID
from training.fitting.tifu import TIFU_GRID
from training.metrics import ndcg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from features.journey import Journey
    from recommender.contract import LongVector, Query
    from training.fitting.als import AlsParams
    from training.fitting.neighbours import NeighbourParams
    from training.load import Material
    from training.split import Cases

CUT: Final = 10
LARGE: Final = 300_000
"""Touches above which the grids of the slow fits are thinned out."""


class Tuner:
    """Judges single sources on validation cases.

    Parameters
    ----------
    material
        Before the start of the cases.
    cases
        Validation cases.
    """

    def __init__(self, material: Material, cases: Cases, journey: Journey) -> None:
        self.material = material
        self._items = Items(material.vocabulary.arrays)
        asked = [one for is_new in (False, True) for one in self._queries(cases, journey, is_new=is_new)]
        self._asked = [(query, self._items.rows_of(targets)) for query, targets in asked]
        self._n_targets = np.array([len(targets) for _, targets in asked], np.int64)
        self._classes = {retriever.name: retriever for retriever in RETRIEVERS}

    def score(self, name: str, recipe: Recipe) -> float:
        """Mean NDCG@10 of one source alone, over both tasks; 0 where it cannot be fitted."""
        arrays = fit_source(name, self.material, recipe)
        if not arrays or not self._asked:
            return 0.0
        retriever = self._classes[name](arrays, self._items)
        hits = np.zeros((len(self._asked), CUT), np.bool_)
        for row, (query, targets) in enumerate(self._asked):
            found = retriever.retrieve(query, CUT).item_idx
            hits[row, : len(found)] = np.isin(found, targets)
        return float(ndcg(hits, self._n_targets, CUT).mean())

    def best(self, recipes: Sequence[Recipe], *names: str) -> Recipe:
        """The recipe under which some sources, taken together, score best; the first of equals."""
        scores = [sum(self.score(name, recipe) for name in names) for recipe in recipes]
        return recipes[int(np.argmax(scores))]

    def _queries(self, cases: Cases, journey: Journey, *, is_new: bool) -> Iterator[tuple[Query, LongVector]]:
        request = SlateRequest(unseen_only=is_new, apply_rules=False)
        for i in range(len(cases)):
            targets = np.setdiff1d(cases.targets[i], cases.touched[i]) if is_new else cases.targets[i]
            if len(targets) and len(cases.touched[i]):
                state, now = cases.states.state(i), int(cases.as_of[i])
                query = query_of(state, request, self._items, now, journey.stage_of(state, now).stage)
                yield query, targets


def tune(tuner: Tuner, recipe: Recipe, *, progress: Callable[[float], None] | None = None) -> Recipe:
    """A recipe whose every source was chosen on the tuner's cases, starting from ``recipe``."""
    steps = (_tune_popular, _tune_frequent, _tune_repeat, _tune_tifu, _tune_covisit, _tune_neighbours, _tune_als)
    for number, step in enumerate(steps, 1):
        recipe = step(tuner, recipe)
        if progress:
            progress(number / len(steps))
    return recipe


def _tune_popular(tuner: Tuner, recipe: Recipe) -> Recipe:
    grid = [replace(recipe, popular_half_life_days=days) for days in _half_lives(tuner, (1, 3, 7, 14, 30, 90))]
    return tuner.best(grid, "popular")


def _tune_frequent(tuner: Tuner, recipe: Recipe) -> Recipe:
    return tuner.best([replace(recipe, frequent=params) for params in FREQUENT_GRID], "frequent")


def _tune_repeat(tuner: Tuner, recipe: Recipe) -> Recipe:
    return tuner.best([replace(recipe, repeat=params) for params in REPEAT_GRID], "repeat")


def _tune_tifu(tuner: Tuner, recipe: Recipe) -> Recipe:
    return tuner.best([replace(recipe, tifu=params) for params in TIFU_GRID], "tifu")


def _tune_covisit(tuner: Tuner, recipe: Recipe) -> Recipe:
    grid = [
        replace(recipe, covisit_window_days=window, covisit_half_life_days=half_life)
        for window in (1.0, 30.0, 3650.0)
        for half_life in (14.0, 90.0)
    ]
    return tuner.best(grid, "viewed_next", "read_next", "bought_together")


def _tune_neighbours(tuner: Tuner, recipe: Recipe) -> Recipe:
    base = recipe.neighbours
    measures: list[NeighbourParams] = [
        *(base._replace(measure="cosine", shrink=shrink) for shrink in (1.0, 30.0, 300.0)),
        *(base._replace(measure="rp3beta", beta=beta) for beta in (0.0, 0.2, 0.4, 0.6)),
    ]
    recipe = tuner.best([replace(recipe, neighbours=params) for params in measures], "neighbours")
    rest = [
        recipe.neighbours._replace(half_life_days=half_life, power=power)
        for half_life in (14.0, 60.0, 1000.0)
        for power in (0.3, 1.0)
    ]
    return tuner.best([recipe, *(replace(recipe, neighbours=params) for params in rest)], "neighbours")


def _tune_als(tuner: Tuner, recipe: Recipe) -> Recipe:
    grid = [(1.0, 0.5), (5.0, 3.0), (20.0, 10.0), (60.0, 30.0)]
    if len(tuner.material.touches) < LARGE:
        grid += [(5.0, 15.0), (20.0, 60.0)]
    base = recipe.als._replace(half_life_days=recipe.neighbours.half_life_days)
    params: list[AlsParams] = [base._replace(alpha=alpha, reg=reg) for alpha, reg in grid]
    return tuner.best([replace(recipe, als=one) for one in params], "als")


def _half_lives(tuner: Tuner, days: Sequence[float]) -> list[float]:
    """Those of some half-lives that the data is long enough to tell apart, at least one."""
    at = tuner.material.touches.at
    span = (tuner.material.touches.until - int(at.min(initial=tuner.material.touches.until))) / DAY_US
    return [float(x) for n, x in enumerate(days) if n == 0 or x <= 2 * span]
