"""Fit: from material and a recipe to the arrays of a bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recommender.items import KINDS, Items
from training.fitting.als import AlsParams, fit_als, with_factors
from training.fitting.cold import ColdParams, item_features, warmed
from training.fitting.content import Description, fit_content
from training.fitting.cosine import CosineParams, fit_cosine
from training.fitting.covisit import RELATIONS, CovisitParams, fit_bought_together, fit_covisit
from training.fitting.ease import EaseParams, fit_ease
from training.fitting.facts import customers_of, fit_facts
from training.fitting.fresh import FreshParams, fit_fresh
from training.fitting.kindred import KindredParams, fit_kindred
from training.fitting.own import FrequentParams, fit_frequent
from training.fitting.popular import PopularParams, decayed_counts, fit_category, fit_popular
from training.fitting.repeat import RepeatParams, fit_repeat
from training.fitting.rp3beta import Rp3BetaParams, fit_rp3beta
from training.fitting.tifu import TifuParams, fit_tifu
from training.fitting.trending import TrendingParams, fit_trending
from training.fitting.vstan import VstanParams, fit_vstan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector
    from training.load import Material


@dataclass(frozen=True)
class Recipe:
    """Every hyper-parameter of a fit. Half-lives and windows in days; weights by ``TOUCHES``."""

    touch_weights: tuple[float, ...] = (1.0, 1.0, 2.0, 3.0, 0.0, 5.0)
    popular: PopularParams = field(default_factory=PopularParams)
    trending: TrendingParams = field(default_factory=TrendingParams)
    fresh: FreshParams = field(default_factory=FreshParams)
    kindred: KindredParams = field(default_factory=KindredParams)
    frequent: FrequentParams = field(default_factory=FrequentParams)
    repeat: RepeatParams = field(default_factory=RepeatParams)
    tifu: TifuParams = field(default_factory=TifuParams)
    covisit: CovisitParams = field(default_factory=CovisitParams)
    reading: CovisitParams = field(default_factory=CovisitParams)
    vstan: VstanParams = field(default_factory=VstanParams)
    cosine: CosineParams = field(default_factory=CosineParams)
    rp3beta: Rp3BetaParams = field(default_factory=Rp3BetaParams)
    ease: EaseParams = field(default_factory=EaseParams)
    als: AlsParams = field(default_factory=AlsParams)
    cold: ColdParams = field(default_factory=ColdParams)
    seed: int = 0

    @property
    def weights(self) -> FloatVector:
        """``touch_weights`` as float32, shape (6,)."""
        return np.array(self.touch_weights, np.float32)

    def flat(self) -> dict[str, Any]:
        """One number or text a name, for a registry: ``als.alpha``."""
        plain: dict[str, Any] = {}
        for name, value in asdict(self).items():
            own = getattr(self, name)
            nested = own._asdict() if hasattr(own, "_asdict") else {"": value}
            plain |= {f"{name}.{key}" if key else name: one for key, one in nested.items()}
        return plain


Fitted = dict[str, "NDArray[np.generic]"]


def _items(material: Material) -> Items:
    return Items(material.vocabulary.arrays)


def _covisits(number: int) -> Callable[[Material, Recipe], Fitted]:
    relation = RELATIONS[number]
    is_read = relation.name == "read_next"
    return lambda m, r: fit_covisit(m.touches, m.n_items, relation, r.reading if is_read else r.covisit)


def _bought_together(material: Material, recipe: Recipe) -> Fitted:
    window, half_life = max(14.0, recipe.covisit.window_days), 2 * recipe.covisit.half_life_days
    return fit_bought_together(material.touches, material.n_items, window_days=window, half_life_days=half_life)


def _als(material: Material, recipe: Recipe) -> Fitted:
    """Factors of taste, those of cold items from what they say of themselves."""
    arrays = fit_als(material.touches, material.n_items, recipe.als, recipe.weights, seed=recipe.seed)
    if not arrays:
        return {}
    factors: FloatMatrix = arrays["als.item_factors"]  # type: ignore[assignment]
    n_customers = customers_of(material.touches, material.n_items)
    return with_factors(arrays, warmed(factors, _features(material, recipe), n_customers, recipe.cold))


def _features(material: Material, recipe: Recipe) -> FloatMatrix:
    """What items say of themselves, as :func:`training.fitting.cold.item_features` puts it in numbers."""
    asked = (recipe.cold.n_text, recipe.seed)
    if asked not in material.features:
        items, (n_text, seed) = _items(material), asked
        found = item_features(_described(material), items.category, items.price_minor, n_text, seed=seed)
        material.features[asked] = found
    return material.features[asked]


def _described(material: Material) -> list[Description]:
    kinds = _items(material).kind.tolist()
    return [Description(KINDS[kind], *texts) for kind, texts in zip(kinds, material.vocabulary.texts, strict=True)]


def _content(material: Material, recipe: Recipe) -> Fitted:
    """Text and category similarity; nothing where no item says anything of itself."""
    if not any(any(texts) for texts in material.vocabulary.texts):
        return {}
    popularity = decayed_counts(material.touches, material.n_items, recipe.popular.half_life_days)
    return fit_content(_described(material), popularity)


FITS: Final[Mapping[str, Callable[[Material, Recipe], Fitted]]] = {
    "popular": lambda m, r: fit_popular(m.touches, _items(m), r.popular),
    "trending": lambda m, r: fit_trending(m.touches, _items(m), r.trending),
    "fresh": lambda m, r: fit_fresh(m.touches, _items(m), r.fresh),
    "category": lambda m, r: fit_category(m.touches, _items(m), r.popular),
    "frequent": lambda m, r: fit_frequent(m.touches, m.n_items, r.frequent),
    "repeat": lambda m, r: fit_repeat(m.touches, _items(m), r.repeat),
    "tifu": lambda m, r: fit_tifu(m.touches, m.n_items, r.tifu),
    **{relation.name: _covisits(number) for number, relation in enumerate(RELATIONS)},
    "bought_together": _bought_together,
    "kindred": lambda m, r: fit_kindred(m.touches, m.n_items, r.kindred),
    "vstan": lambda m, r: fit_vstan(m.touches, m.n_items, r.vstan),
    "cosine": lambda m, r: fit_cosine(m.touches, m.n_items, r.cosine, r.weights),
    "rp3beta": lambda m, r: fit_rp3beta(m.touches, m.n_items, r.rp3beta, r.weights),
    "ease": lambda m, r: fit_ease(m.touches, m.n_items, r.ease, r.weights),
    "als": _als,
    "content": _content,
}
"""How each source is fitted."""
SOURCES: Final = tuple(FITS)


def fit_source(name: str, material: Material, recipe: Recipe) -> Fitted:
    """Arrays of one source; empty where the data does not carry it."""
    return FITS[name](material, recipe)


def fit(material: Material, recipe: Recipe) -> Fitted:
    """All arrays of a bundle; sources that the data does not carry are left out."""
    arrays: Fitted = dict(material.vocabulary.arrays)
    arrays |= fit_facts(material.touches, Items(arrays), recipe.popular.half_life_days)
    for name in SOURCES:
        arrays |= fit_source(name, material, recipe)
    return arrays


def left_out(arrays: Mapping[str, object]) -> tuple[str, ...]:
    """Sources that were not fitted, for the run to say so."""
    return tuple(name for name in SOURCES if not any(array.startswith(f"{name}.") for array in arrays))
