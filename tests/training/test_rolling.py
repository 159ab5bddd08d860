from __future__ import annotations

import shutil

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError, InvalidData
from features.events import DAY_US
from training.fit import Recipe
from training.job import Sizes, Taught
from training.load import Data
from training.rolling import MAX_ORIGINS, evaluate_directory, model_at, plan_of, recorded_recipe
from training.split import MAX_WINDOW_DAYS, windows_between, windows_of

QUICK = Sizes(validation=80, test=160)
START = 1_000 * DAY_US


@pytest.fixture(scope="module")
def untrained(shop, tmp_path_factory):
    """The shop without a model of its own."""
    directory = shutil.copytree(shop, tmp_path_factory.mktemp("untrained") / "متجر")
    (directory / "model.json").unlink(missing_ok=True)
    return directory


@pytest.fixture(scope="module")
def rolled(untrained, journey):
    return evaluate_directory(untrained, journey=journey, until=None, n_origins=4, sizes=QUICK)


@pytest.fixture(scope="module")
def judged(published, shop, journey):
    """The trained shop at one origin."""
    return evaluate_directory(shop, journey=journey, until=None, n_origins=1, sizes=QUICK)


def test_one_origin_is_the_window_that_training_tests_on(shop):
    data = Data(shop)
    plan, windows = plan_of(data.start, data.until, 1), windows_of(data)
    assert (plan.validation, plan.origins, plan.until) == (windows.validation, (windows.test,), windows.until)


def test_four_origins_share_the_last_two_fifths_of_the_time():
    plan = plan_of(START, START + 100 * DAY_US, 4)
    assert [(at - START) // DAY_US for at in plan.origins] == [60, 70, 80, 90]
    assert (plan.validation - START) // DAY_US == 60 - 10


def test_origins_of_a_long_history_are_a_month_apart_at_most():
    plan = plan_of(START, START + 3_000 * DAY_US, 4)
    assert np.diff([*plan.origins, plan.until]).tolist() == [MAX_WINDOW_DAYS * DAY_US] * 4
    assert plan.origins[0] - plan.validation == MAX_WINDOW_DAYS * DAY_US


@given(days=st.integers(20, 2_000), n=st.integers(1, MAX_ORIGINS))
def test_validation_comes_before_every_origin_and_origins_ascend(days, n):
    plan = plan_of(START, START + days * DAY_US, n)
    moments = [START, plan.validation, *plan.origins, plan.until]
    assert moments == sorted(set(moments))
    assert len(plan.origins) == n


def test_four_origins_give_one_evaluation_of_all_of_them(rolled, untrained):
    found, until = rolled.evaluation, Data(untrained).until
    assert len(found.origins) == 4
    assert found.origins[0].start == found.start
    assert found.end == until
    assert [o.end for o in found.origins[:-1]] == [o.start for o in found.origins[1:]]
    total = {row.protocol: row.n_cases for row in found.rows if row.slice == "all" and row.task == "any"}
    assert sum(total.values()) == sum(origin.n_cases for origin in found.origins)
    assert rolled.facts["recipe"] == "tuned before the first origin"


def test_what_happens_later_changes_nothing_at_an_earlier_origin(untrained, journey):
    until = Data(untrained).until
    data = Data(untrained, until - 10 * DAY_US)
    at = until - 30 * DAY_US
    models = [model_at(one, Taught(Recipe()), journey, at) for one in (data, Data(untrained))]
    assert models[0].sources == models[1].sources
    assert models[0]._arrays.keys() == models[1]._arrays.keys()
    for name, array in models[0]._arrays.items():
        assert np.array_equal(array, models[1]._arrays[name]), name


def test_a_model_of_an_origin_knows_no_item_that_came_later(untrained, journey):
    data = Data(untrained)
    at = (data.start + data.until) // 2
    engine = model_at(data, Taught(Recipe()), journey, at)
    assert np.array_equal(engine.items.item_key, data.material(at).vocabulary.item_keys)
    assert len(engine.items) < len(data.material(data.until).vocabulary.item_keys)
    assert engine.model.until == at


def test_the_recipe_of_the_directorys_model_serves_where_its_tuning_saw_nothing_later(published, shop):
    data = Data(shop)
    test = windows_of(data).test
    assert recorded_recipe(shop, data.start, test) == published.fitted.recipe
    assert recorded_recipe(shop, data.start, test - 1) is None


@pytest.mark.parametrize("kind", ["none", "no note", "no bundle", "other facts"])
def test_without_a_model_that_can_be_read_there_is_no_recipe(kind, tmp_path, published, shop):
    bundle = shutil.copytree(published.bundle, tmp_path / "bundle")
    note = msgspec.json.decode((shop / "model.json").read_bytes()) | {"bundle": str(bundle)}
    if kind == "no note":
        (tmp_path / "model.json").write_text("{}")
    elif kind != "none":
        (tmp_path / "model.json").write_bytes(msgspec.json.encode(note))
    if kind == "no bundle":
        shutil.rmtree(bundle)
    elif kind == "other facts":
        (bundle / "facts.json").write_text('{"recipe": {"seed": "many"}}')
    assert recorded_recipe(tmp_path, Data(shop).start, 1 << 62) is None


def test_a_trained_directory_is_judged_with_its_own_recipe(judged, shop):
    assert judged.facts["recipe"] == "of the model in model.json"
    assert (judged.evaluation.start, judged.evaluation.end) == windows_between(Data(shop).start, Data(shop).until)[1:]
    assert judged.blend.n_cases
    assert judged.n_items > 0


def test_equal_seeds_give_equal_tables(judged, shop, journey):
    again = evaluate_directory(shop, journey=journey, until=None, n_origins=1, sizes=QUICK)
    assert repr(again.evaluation) == repr(judged.evaluation)  # NaN is not equal to itself


@pytest.mark.parametrize("n", [0, MAX_ORIGINS + 1])
def test_a_senseless_number_of_origins_is_refused(n, shop, journey):
    with pytest.raises(InputError, match="--origins"):
        evaluate_directory(shop, journey=journey, until=None, n_origins=n)


def test_too_few_customers_to_judge_by_are_refused_in_one_sentence(untrained, journey):
    with pytest.raises(InvalidData, match="expected 30 cases"):
        evaluate_directory(untrained, journey=journey, until=Data(untrained).start + 60_000_000, n_origins=2)
