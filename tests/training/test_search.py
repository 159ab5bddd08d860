from __future__ import annotations

import optuna
import pytest

from features.errors import InvalidData
from training.fit import Recipe
from training.recipes import FILE, FOLDER, Saved, save_recipe, saved_recipe
from training.search import suggested
from training.tune import CHOICES


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.field)
def test_what_is_suggested_lies_in_the_range_of_the_grid(choice):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        value = suggested(study.ask(), choice)
        for name in choice.values[0]._fields:
            seen = [getattr(one, name) for one in choice.values]
            assert min(seen) <= getattr(value, name) <= max(seen)


def test_a_recipe_comes_back_unless_its_search_saw_what_is_to_be_tested(tmp_path):
    (tmp_path / FOLDER).mkdir()
    recipe = Recipe(seed=3)
    save_recipe(tmp_path, Saved(1_000, recipe))
    assert saved_recipe(tmp_path, 1_000) == recipe
    assert saved_recipe(tmp_path, 999) is None


def test_a_directory_without_a_search_has_no_recipe(tmp_path):
    assert saved_recipe(tmp_path, 1) is None


def test_a_damaged_recipe_is_named(tmp_path):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / FILE).write_text("{}")
    with pytest.raises(InvalidData, match="recipe"):
        saved_recipe(tmp_path, 1)
