from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training import tune
from training.fit import Recipe
from training.job import load
from training.split import cases_of, windows_of
from training.tune import Tuner


@pytest.fixture(scope="module")
def known(shop, journey):
    """What came before the validation window of a shop, and cases of the window whose customers are known."""
    data = load(shop, None, lambda _name, _share: None)
    windows = windows_of(data)
    cases = cases_of(data, windows.validation, windows.test, journey.schema, n=400, seed=0)
    return data.material(windows.validation), cases


def test_own_items_count_where_somebody_comes_back_to_one(known, journey):
    material, cases = known
    tuner = Tuner(material, cases, journey)
    assert tuner.score("frequent", Recipe()) > 0


def test_where_nobody_comes_back_only_unseen_items_are_looked_for(known, journey):
    material, cases = known
    only_new = [np.setdiff1d(*pair) for pair in zip(cases.targets, cases.touched, strict=True)]
    tuner = Tuner(material, replace(cases, targets=only_new), journey)
    assert tuner.score("frequent", Recipe()) == 0
    # What was touched takes no place from what is looked for.
    both = Tuner(material, cases, journey)
    assert tuner.score("popular", Recipe()) > 0
    assert tuner.score("popular", Recipe()) != both.score("popular", Recipe())


def test_popularity_is_judged_by_strangers_where_they_are_many_enough(known, journey, monkeypatch):
    material, cases = known
    everybody = Tuner(material, cases, journey).score("popular", Recipe())
    monkeypatch.setattr(tune, "MIN_STRANGERS", 1)
    strangers = Tuner(material, cases, journey)
    assert 0 < strangers.score("popular", Recipe()) != everybody
    is_known = np.array([len(touched) > 0 for touched in cases.touched])
    nobody_else = [targets if known else targets[:0] for targets, known in zip(cases.targets, is_known, strict=True)]
    assert Tuner(material, replace(cases, targets=nobody_else), journey).score("popular", Recipe()) > 0


def test_the_first_of_equal_settings_stands(known, journey):
    material, cases = known
    recipes = [Recipe(seed=seed) for seed in range(3)]
    assert Tuner(material, cases, journey).best(recipes, "popular") is recipes[0]
