"""Tune: hyper-parameters of every source, each chosen alone on the validation cases.

A grid small enough to run with every training; what a longer search finds goes into the same ``Recipe``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from recommender.items import Items
from recommender.query import query_of
from recommender.retrievers import RETRIEVERS
from recommender.slate import SlateRequest
from training.fit import Recipe, fit_source
from training.fitting.als import ALS_GRID
from training.fitting.cosine import COSINE_GRID
from training.fitting.covisit import COVISIT_GRID
from training.fitting.ease import EASE_GRID
from training.fitting.fresh import FRESH_GRID
from training.fitting.kindred import KINDRED_GRID
from training.fitting.own import FREQUENT_GRID
from training.fitting.popular import POPULAR_GRID
from training.fitting.repeat import REPEAT_GRID
from training.fitting.rp3beta import RP3BETA_GRID
from training.fitting.tifu import TIFU_GRID
from training.fitting.trending import TRENDING_GRID
from training.fitting.vstan import VSTAN_GRID
from training.metrics import ndcg
from training.spread import spread
from training.touched import leaving_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from features.journey import Journey
    from recommender.contract import IntVector, Query
    from training.load import Material
    from training.split import Cases

CUT: Final = 10
MIN_ASKED: Final = 200
"""Queries below which settings are tried by one process."""
FOR_STRANGERS: Final = frozenset({"popular"})
"""Sources that those see of whom nothing is known, and hardly anybody else."""
MIN_STRANGERS: Final = 200
"""Strangers below which such a source is judged by everybody else, too."""


class Asked(NamedTuple):
    """What a source is asked for one case, and which rows it should have found."""

    query: Query
    rows: IntVector


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
        # Where nobody comes back to an item, what was touched before only stands in the way of what is looked for.
        comes_back = any(np.isin(*pair).any() for pair in zip(cases.targets, cases.touched, strict=True))
        tasks = (False, True) if comes_back else (True,)
        self._known = [one for is_new in tasks for one in self._asked(cases, journey, is_new=is_new)]
        self._strangers = list(self._asked(cases, journey, is_stranger=True))
        self._classes = {retriever.name: retriever for retriever in RETRIEVERS}

    def score(self, name: str, recipe: Recipe) -> float:
        """Mean NDCG@10 of one source alone, over the customers that it is for; 0 where it cannot be fitted."""
        arrays, asked = fit_source(name, self.material, recipe), self._judges(name)
        if not arrays or not asked:
            return 0.0
        retriever = self._classes[name](arrays, self._items)
        hits = np.zeros((len(asked), CUT), np.bool_)
        for row, (query, targets) in enumerate(asked):
            found = retriever.retrieve(query, CUT).item_idx
            hits[row, : len(found)] = np.isin(found, targets)
        return float(ndcg(hits, np.array([len(targets) for _, targets in asked]), CUT).mean())

    def best(self, recipes: Sequence[Recipe], *names: str) -> Recipe:
        """The recipe under which some sources, taken together, score best; the first of equals."""
        parts = spread(
            lambda part: [sum(self.score(name, recipes[row]) for name in names) for row in part],
            len(recipes),
            least=1 if len(self._known) >= MIN_ASKED else len(recipes),
        )
        return recipes[int(np.argmax([score for part in parts for score in part]))]

    def _judges(self, name: str) -> list[Asked]:
        if name not in FOR_STRANGERS:
            return self._known
        return self._strangers if len(self._strangers) >= MIN_STRANGERS else self._known + self._strangers

    def _asked(
        self, cases: Cases, journey: Journey, *, is_new: bool = False, is_stranger: bool = False
    ) -> Iterator[Asked]:
        request = SlateRequest(unseen_only=is_new, apply_rules=False)
        for i in range(len(cases)):
            touched = cases.touched[i]
            targets = np.setdiff1d(cases.targets[i], touched) if is_new else cases.targets[i]
            if len(targets) and is_stranger == (not len(touched)):
                state, now = cases.states.state(i), int(cases.as_of[i])
                one = leaving_out(request, state, touched, self._items)
                query = query_of(state, one, self._items, now, journey.stage_of(state, now).stage)
                yield Asked(query, self._items.rows_of(targets))


class Choice(NamedTuple):
    """A field of the recipe, the values it may have (the first one stands where none is better), and who is judged."""

    field: str
    values: tuple[Any, ...]
    sources: tuple[str, ...]


CHOICES: Final = (
    Choice("popular", POPULAR_GRID, ("popular",)),
    Choice("trending", TRENDING_GRID, ("trending",)),
    Choice("fresh", FRESH_GRID, ("fresh",)),
    Choice("kindred", KINDRED_GRID, ("kindred",)),
    Choice("covisit", COVISIT_GRID, ("viewed_next",)),
    Choice("reading", COVISIT_GRID, ("read_next",)),
    Choice("vstan", VSTAN_GRID, ("vstan",)),
    Choice("cosine", COSINE_GRID, ("cosine",)),
    Choice("rp3beta", RP3BETA_GRID, ("rp3beta",)),
    Choice("ease", EASE_GRID, ("ease",)),
    Choice("als", ALS_GRID, ("als",)),
    Choice("frequent", FREQUENT_GRID, ("frequent",)),
    Choice("repeat", REPEAT_GRID, ("repeat",)),
    Choice("tifu", TIFU_GRID, ("tifu",)),
)
"""What is chosen with every training, one field after the other."""


def tune(tuner: Tuner, recipe: Recipe, *, progress: Callable[[float], None] | None = None) -> Recipe:
    """A recipe whose every source was chosen on the tuner's cases, starting from ``recipe``."""
    for number, choice in enumerate(CHOICES, 1):
        recipe = tuner.best([replace(recipe, **{choice.field: value}) for value in choice.values], *choice.sources)
        if progress:
            progress(number / len(CHOICES))
    return recipe
