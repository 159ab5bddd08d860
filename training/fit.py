"""Fit: from material and a recipe to the arrays of a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from recommender.items import KINDS, Items
from training.fitting.als import AlsParams, fit_als
from training.fitting.content import Description, fit_content
from training.fitting.covisit import RELATIONS, fit_bought_together, fit_covisit
from training.fitting.neighbours import NeighbourParams, fit_neighbours
from training.fitting.own import FrequentParams, fit_frequent
from training.fitting.popular import decayed_counts, fit_category, fit_popular
from training.fitting.repeat import RepeatParams, fit_repeat
from training.fitting.tifu import TifuParams, fit_tifu

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.contract import FloatVector
    from training.load import Material


@dataclass(frozen=True)
class Recipe:
    """Every hyper-parameter of a fit. Half-lives and windows in days; weights by ``TOUCHES``."""

    touch_weights: tuple[float, ...] = (1.0, 1.0, 2.0, 3.0, 0.0, 5.0)
    popular_half_life_days: float = 7.0
    frequent: FrequentParams = field(default_factory=FrequentParams)
    repeat: RepeatParams = field(default_factory=RepeatParams)
    tifu: TifuParams = field(default_factory=TifuParams)
    covisit_window_days: float = 1.0
    covisit_half_life_days: float = 30.0
    neighbours: NeighbourParams = field(default_factory=NeighbourParams)
    als: AlsParams = field(default_factory=AlsParams)
    seed: int = 0

    @property
    def weights(self) -> FloatVector:
        """``touch_weights`` as float32, shape (6,)."""
        return np.array(self.touch_weights, np.float32)


Fitted = dict[str, "NDArray[np.generic]"]


def fit_source(name: str, material: Material, recipe: Recipe) -> Fitted:  # noqa: PLR0911 - a case a source
    """Arrays of one source; empty where the data does not carry it."""
    touches, n_items, weights = material.touches, material.n_items, recipe.weights
    match name:
        case "popular":
            return fit_popular(touches, Items(material.vocabulary.arrays), recipe.popular_half_life_days)
        case "category":
            return fit_category(touches, Items(material.vocabulary.arrays), recipe.popular_half_life_days)
        case "frequent":
            return fit_frequent(touches, n_items, recipe.frequent)
        case "repeat":
            return fit_repeat(touches, Items(material.vocabulary.arrays), recipe.repeat)
        case "tifu":
            return fit_tifu(touches, n_items, recipe.tifu)
        case "bought_together":
            window = max(14.0, recipe.covisit_window_days)
            return fit_bought_together(
                touches, n_items, window_days=window, half_life_days=2 * recipe.covisit_half_life_days
            )
        case "neighbours":
            return fit_neighbours(touches, n_items, recipe.neighbours, weights)
        case "als":
            return fit_als(touches, n_items, recipe.als, weights, seed=recipe.seed)
        case "content":
            return _fit_content(material, recipe)
        case _:
            relation = next(relation for relation in RELATIONS if relation.name == name)
            return fit_covisit(
                touches,
                n_items,
                relation,
                window_days=recipe.covisit_window_days,
                half_life_days=recipe.covisit_half_life_days,
            )


SOURCES = (
    "popular",
    "category",
    "frequent",
    "repeat",
    "tifu",
    *(r.name for r in RELATIONS),
    "bought_together",
    "neighbours",
    "als",
    "content",
)


def fit(material: Material, recipe: Recipe) -> Fitted:
    """All arrays of a bundle; sources that the data does not carry are left out."""
    arrays: Fitted = dict(material.vocabulary.arrays)
    for name in SOURCES:
        arrays |= fit_source(name, material, recipe)
    return arrays


def left_out(arrays: Mapping[str, object]) -> tuple[str, ...]:
    """Sources that were not fitted, for the run to say so."""
    return tuple(name for name in SOURCES if not any(array.startswith(f"{name}.") for array in arrays))


def _fit_content(material: Material, recipe: Recipe) -> Fitted:
    """Text and category similarity; nothing where no item says anything of itself."""
    items = Items(material.vocabulary.arrays)
    popularity = decayed_counts(material.touches, material.n_items, recipe.popular_half_life_days)
    described = [
        Description(KINDS[kind], *texts)
        for kind, texts in zip(items.kind.tolist(), material.vocabulary.texts, strict=True)
    ]
    if not any(any(texts) for texts in material.vocabulary.texts):
        return {}
    return fit_content(described, popularity)
