"""Rows, trees and the bundle's arrays of the ranker, against LightGBM and NumPy."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from benchmarks.trees import N_FEATURES, by_numpy, made
from recommender.candidates import STAGE_FEATURES, feature_names, reason_codes
from recommender.engine import sources_of
from recommender.slate import SlateRequest
from recommender.soundness import check_trees
from recommender.trees import Trees
from tests.recommender.small import NOW, after, engine_of, small_arrays
from training.ranking import PARAMS, Rows, arrays_of


@pytest.fixture(scope="module")
def ranker():
    booster, rows = made(31, 30)
    return booster, rows, arrays_of(booster, 3, np.ones((2, 2), np.bool_))


def test_the_arrays_score_as_the_booster_and_as_numpy_does(ranker):
    booster, rows, arrays = ranker
    scores = Trees(arrays, "ranker").score(rows)
    np.testing.assert_allclose(scores, booster.predict(rows, num_threads=1), atol=1e-5)
    np.testing.assert_allclose(scores, by_numpy(arrays, rows), atol=1e-5)


def test_contributions_sum_to_the_score(ranker):
    _, rows, arrays = ranker
    trees = Trees(arrays, "ranker")
    parts = trees.explain(rows, np.arange(N_FEATURES, dtype=np.int32), N_FEATURES)
    np.testing.assert_allclose(parts.sum(axis=1), trees.score(rows), atol=1e-5)


def test_a_value_at_a_threshold_goes_left_as_the_booster_says(ranker):
    booster, rows, arrays = ranker
    edges = np.repeat(rows[:1], len(arrays["ranker.threshold"]), axis=0)
    inner = arrays["ranker.left"] != np.arange(len(edges))
    edges = edges[inner]
    edges[np.arange(len(edges)), arrays["ranker.feature"][inner]] = arrays["ranker.threshold"][inner]
    np.testing.assert_allclose(Trees(arrays, "ranker").score(edges), booster.predict(edges, num_threads=1), atol=1e-5)


def test_what_training_writes_passes_the_checks_of_the_reader(ranker):
    arrays = ranker[2]
    assert check_trees(arrays, "ranker", N_FEATURES) is None
    assert arrays["ranker.n_sources"].tolist() == [3]


def test_every_feature_has_a_reason_and_every_name_is_its_own():
    names, codes = feature_names(("popular", "als")), reason_codes(("popular", "als"))
    assert len(names) == len(set(names)) == len(codes)
    assert codes[:4] == ("popular", "als", "popular", "als")
    assert {code for name, code in zip(names, codes, strict=True) if name in STAGE_FEATURES} == {"stage"}


def test_rows_blind_to_stages_lose_just_these_features():
    names = feature_names(("popular",))
    rows = Rows(np.ones((2, len(names)), np.float32), np.zeros(2, np.uint8), np.array([2]))
    blind = rows.without_stage(("popular",)).features
    assert [name for name, value in zip(names, blind[0], strict=True) if value == 0] == list(STAGE_FEATURES)
    assert rows.features.all()


def test_places_are_known_only_where_all_rows_have_them():
    one = Rows(np.ones((1, 2), np.float32), np.ones(1, np.uint8), np.array([1]), np.zeros(1, np.int32))
    assert Rows.joined([one, one]).place.tolist() == [0, 0]
    assert Rows.joined([one, one._replace(place=None)]).place is None


def test_a_ranked_slate_tells_reasons_that_sum_to_each_score():
    arrays = small_arrays()
    sources = sources_of(arrays)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2_000, len(feature_names(sources)))).astype(np.float32)
    data = lightgbm.Dataset(rows, (rows.sum(axis=1) > 0).astype(np.uint8), group=[50] * 40)
    booster = lightgbm.train({**PARAMS, "num_leaves": 7, "min_data_in_leaf": 5}, data, 40)
    engine = engine_of(arrays | arrays_of(booster, len(sources), np.ones((2, 2), np.bool_)))
    assert engine.ranker is not None
    slate = engine.decide(after(("item_view", "cup"), ("item_view", "kettle")), SlateRequest(limit=8), NOW)
    assert len(slate.items) == 8
    for item in slate.items:
        for reasons in (item.reasons, item.reasons.short):
            assert sum(reason.weight for reason in reasons) == pytest.approx(item.score, abs=1e-5)
            assert all(reason.text for reason in reasons)
        assert {reason.code for reason in item.reasons} <= {*reason_codes(sources), "base"} - {"blend"}
