"""Rows, trees and the bundle's arrays of the ranker, against LightGBM and NumPy."""

from __future__ import annotations

from collections import Counter

import lightgbm
import numpy as np
import pytest

from benchmarks.trees import N_FEATURES, by_numpy, made
from features.errors import BundleCorrupt
from recommender import ranking
from recommender.blend import N_CANDIDATES, pool_of
from recommender.candidates import (
    COUNTING,
    STAGE_FEATURES,
    Facts,
    blend_column,
    columns_of,
    feature_names,
    reason_codes,
    telling,
)
from recommender.engine import sources_of
from recommender.items import KINDS
from recommender.query import query_of
from recommender.slate import SlateRequest
from recommender.soundness import check_shapes, check_trees
from recommender.trees import Trees
from tests.recommender.small import NOW, after, engine_of, small_arrays
from training.ranking import PARAMS, Boosted, Rows, arrays_of, fit_trees, slope_of


@pytest.fixture(scope="module")
def ranker():
    booster, rows = made(31, 30)
    return booster, rows, arrays_of(Boosted(booster, 0.0, 0), 3, np.ones((2, 2), np.bool_))


def made_rows(sources):
    """Forty cases of fifty candidates; what the features sum to is wanted."""
    rows = np.random.default_rng(0).normal(size=(2_000, len(feature_names(sources)))).astype(np.float32)
    return Rows(rows, (rows.sum(axis=1) > 0).astype(np.uint8), np.full(40, 50))


def taught(sources, *, n_trees):
    """Arrays of a ranker that serves everywhere."""
    rows = made_rows(sources)
    data = lightgbm.Dataset(rows.features, rows.level, group=rows.sizes)
    booster = lightgbm.train({**PARAMS, "num_leaves": 7, "min_data_in_leaf": 5}, data, n_trees)
    return arrays_of(Boosted(booster, 3.0, blend_column(sources)), len(sources), np.ones((2, 2), np.bool_))


def test_the_arrays_score_as_the_booster_and_as_numpy_does(ranker):
    booster, rows, arrays = ranker
    scores = Trees(arrays, "ranker").score(rows.T.copy())
    np.testing.assert_allclose(scores, booster.predict(rows, num_threads=1), atol=1e-5)
    np.testing.assert_allclose(scores, by_numpy(arrays, rows), atol=1e-5)


def test_contributions_sum_to_the_score(ranker):
    _, rows, arrays = ranker
    trees = Trees(arrays, "ranker")
    columns = rows.T.copy()
    parts = trees.explain(columns, np.arange(N_FEATURES, dtype=np.int32), N_FEATURES)
    np.testing.assert_allclose(parts.sum(axis=1), trees.score(columns), atol=1e-5)


def test_a_value_at_a_threshold_goes_left_as_the_booster_says(ranker):
    booster, rows, arrays = ranker
    edges = np.repeat(rows[:1], len(arrays["ranker.threshold"]), axis=0)
    inner = arrays["ranker.left"] != np.arange(len(edges))
    edges = edges[inner]
    edges[np.arange(len(edges)), arrays["ranker.feature"][inner]] = arrays["ranker.threshold"][inner]
    np.testing.assert_allclose(
        Trees(arrays, "ranker").score(edges.T.copy()), booster.predict(edges, num_threads=1), atol=1e-5
    )


def test_what_training_writes_passes_the_checks_of_the_reader(ranker):
    arrays = ranker[2]
    assert check_trees(arrays, "ranker", N_FEATURES) is None
    assert arrays["ranker.n_sources"].tolist() == [3]


@pytest.mark.parametrize("name", ["ranker.slope", "ranker.n_sources", "ranker.serves"])
def test_a_ranker_that_lacks_a_number_is_refused_by_name(ranker, name):
    assert check_shapes(ranker[2]) is None
    with pytest.raises(BundleCorrupt, match=f"{name}: expected shape"):
        check_shapes(ranker[2] | {name: ranker[2][name][:0]})


def test_every_feature_has_a_reason_and_every_name_is_its_own():
    names, codes = feature_names(("popular", "als")), reason_codes(("popular", "als"))
    assert len(names) == len(set(names)) == len(codes)
    assert codes[:5] == ("popular", "als", "popular", "als", "als")
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
    engine = engine_of(arrays | taught(sources, n_trees=40))
    assert engine.ranker is not None
    slate = engine.decide(after(("item_view", "cup"), ("item_view", "kettle")), SlateRequest(limit=8), NOW)
    assert len(slate.items) == 8
    for item in slate.items:
        for reasons in (item.reasons, item.reasons.short):
            assert sum(reason.weight for reason in reasons) == pytest.approx(item.score, abs=1e-5)
            assert all(reason.text for reason in reasons)
        assert {reason.code for reason in item.reasons} <= {*reason_codes(sources), "base"} - {"blend"}


def test_a_slate_holds_every_kind_however_few_candidates_are_ranked(monkeypatch):
    arrays = small_arrays()
    engine = engine_of(arrays | taught(sources_of(arrays), n_trees=1))
    state, request = after(("item_view", "cup"), ("item_view", "kettle")), SlateRequest(limit=6)
    whole = Counter(item.kind for item in engine.decide(state, request, NOW).items)
    monkeypatch.setattr(ranking, "N_RANKED", 1)
    monkeypatch.setattr(ranking, "N_OF_KIND", max(whole.values()))
    assert Counter(item.kind for item in engine.decide(state, request, NOW).items) == whole
    assert set(whole) == set(KINDS)


def test_without_a_tree_a_ranker_ranks_as_the_blend_does_and_says_so():
    arrays = small_arrays()
    sources = sources_of(arrays)
    learned = taught(sources, n_trees=1)
    nothing = {name: learned[f"ranker.{name}"][:0] for name in ("root", "depth")}
    engine = engine_of(arrays | learned | {f"ranker.{name}": array for name, array in nothing.items()})
    blended = engine_of(arrays)
    state, request = after(("item_view", "cup"), ("item_view", "kettle")), SlateRequest(limit=8)
    ranked, plain = engine.decide(state, request, NOW), blended.decide(state, request, NOW)
    assert [item.item_id for item in ranked.items] == [item.item_id for item in plain.items]
    slope = float(learned["ranker.slope"][0])
    for one, other in zip(ranked.items, plain.items, strict=True):
        assert one.score == pytest.approx(slope * other.score, rel=1e-4)
        assert {reason.code for reason in one.reasons} <= {*sources, "base"}


def test_trees_start_where_the_blend_stands():
    sources = ("popular", "als")
    rows = made_rows(sources)
    boosted = fit_trees(rows, sources, seed=0, n_trees=1)
    score = rows.features[:, blend_column(sources)]
    assert boosted.slope == pytest.approx(slope_of(score, rows))
    assert np.corrcoef(boosted.score(rows.features.T), score)[0, 1] > 0.95
    assert boosted.n_trees == 1


def test_the_slope_is_the_one_that_draws_targets_most_likely():
    # Two candidates a case, one point apart; the better one is wanted in three cases of four: exp(slope) = 3.
    rows = Rows(np.zeros((8, 1), np.float32), np.array([1, 0] * 3 + [0, 1], np.uint8), np.array([2] * 4))
    assert slope_of(np.array([1, 0] * 4, np.float32), rows) == pytest.approx(np.log(3), rel=1e-3)


def test_a_row_tells_what_a_source_said_itself_and_its_share_of_its_best():
    engine = engine_of(small_arrays())
    state = after(("item_view", "cup"), ("item_view", "kettle"))
    standing = engine.journey.stage_of(state, NOW)
    query = query_of(state, SlateRequest(), engine.items, NOW, standing.stage)
    pool = pool_of(engine.retrievers, query, len(engine.items))
    score = np.zeros(len(pool.item_idx), np.float32)
    facts = Facts.of(small_arrays())
    rows = columns_of(pool, telling(engine.sources), score, query, standing, engine.items, facts).T
    columns = {name: column for column, name in enumerate(feature_names(engine.sources))}
    spoke = 0
    for retriever in engine.retrievers:
        found = retriever.retrieve(query, N_CANDIDATES)
        at = np.searchsorted(pool.item_idx, found.item_idx)
        said = columns.get(f"{retriever.name}_strength")
        assert (said is None) == (retriever.name in COUNTING)
        if said is not None:
            np.testing.assert_allclose(rows[at, said], found.score, rtol=1e-5)
            assert not np.delete(rows[:, said], at).any()
        if len(at):
            np.testing.assert_allclose(rows[at, columns[retriever.name]], found.score / found.score[0], rtol=1e-5)
        spoke += len(at) > 0
    assert spoke > 3
