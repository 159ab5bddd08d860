from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recommender.blend import CONTEXTS, STRANGER, TASKS, Blend
from training.blending import (
    KAPPA,
    MAX_CASES,
    MIN_CASES,
    MIN_SPREAD,
    learn_blend,
)
from training.gains import mean_ndcg
from training.pools import Pools, ideal_of, joined, levels_of
from training.split import GAINS
from training.spread import n_cores

SOURCES = ("popular", "als", "content")
N_ITEMS = 30


def pools_like(parts, level, context):
    """Pools of ``parts`` (n_cases, width, n_sources) and ``level`` (n_cases, width)."""
    n, width = level.shape
    return Pools(
        SOURCES,
        np.tile(np.arange(width, dtype=np.int32), n),
        sparse.csr_array(parts.reshape(n * width, len(SOURCES)).astype(np.float32)),
        level.reshape(-1).astype(np.uint8),
        np.arange(n + 1, dtype=np.int64) * width,
        np.array([max(ideal_of(row[row > 0]), 1e-9) for row in level.astype(np.uint8)]),
        np.full(n, context, np.int32),
        np.ones((n, len(SOURCES)), np.float32),
    )


def sample_of(n, right, *, context=0, seed=0):
    """Cases with one target each, which source ``right`` always puts first and the others at random."""
    rng = np.random.default_rng(seed)
    parts = rng.random((n, N_ITEMS, len(SOURCES))).astype(np.float32)
    level = np.zeros((n, N_ITEMS), np.uint8)
    level[np.arange(n), rng.integers(0, N_ITEMS, n)] = 1
    parts[:, :, right] = np.where(level, 1, 0.5 * parts[:, :, right])
    return pools_like(parts, level, context)


def and_(*samples):
    return joined(samples, SOURCES)


def silenced(sample, *sources, rows=slice(None)):
    """The same where some sources say nothing of some rows."""
    parts = sample.parts.toarray()
    parts[rows, list(sources)] = 0
    return replace(sample, parts=sparse.csr_array(parts))


def nothing():
    return pools_like(np.zeros((0, 1, len(SOURCES))), np.zeros((0, 1)), 0)


def learn(sample, seed=0):
    return learn_blend(SOURCES, dict.fromkeys(TASKS, sample), seed=seed)


@pytest.mark.parametrize("right", range(len(SOURCES)))
def test_the_source_that_is_right_gets_the_weight(right):
    sample = sample_of(200, right)
    for task in TASKS:
        weights = learn(sample).of(task, CONTEXTS[0])
        assert weights[right] == max(weights) > 0.5
        assert mean_ndcg(sample, weights) == pytest.approx(1, abs=0.01)


def test_sources_that_are_as_good_share_the_weight():
    sample = sample_of(200, 0)
    sample = replace(sample, parts=sample.parts[:, [0, 0, 2]])
    assert (learn(sample).weights["any"][:, :2] > 0.2).all()


def test_a_context_with_cases_of_its_own_moves_towards_what_is_right_there():
    sample = and_(sample_of(400, 0, context=0), sample_of(400, 1, context=1, seed=1))
    blend = learn(sample)
    assert blend.of("any", CONTEXTS[0])[0] > blend.of("any", CONTEXTS[1])[0]
    assert blend.of("any", CONTEXTS[1])[1] > blend.of("any", CONTEXTS[0])[1]


def with_strangers(strangers, known):
    """Cases of whom nothing is known, then of others."""
    nobody = np.full(len(strangers), CONTEXTS.index(STRANGER), np.int32)
    return joined([replace(strangers, context=nobody), known], SOURCES)


@pytest.mark.parametrize("right", [0, 1])
def test_sources_that_have_something_for_strangers_are_divided_as_is_best_for_strangers(right):
    strangers, known = silenced(sample_of(60, right), 2), sample_of(600, 1 - right, seed=1)
    weights = learn(with_strangers(strangers, known)).weights["any"]
    assert weights[-1, right] > weights[-1, 1 - right]
    assert weights[0, 1 - right] > weights[0, right]


def test_strangers_have_no_say_in_the_weights_of_others():
    known = sample_of(300, 1, seed=1)
    alone, beside = learn(known), learn(with_strangers(sample_of(300, 0), known))
    assert np.array_equal(alone.weights["any"][:-1], beside.weights["any"][:-1])
    assert beside.weights["any"][-1, 0] > alone.weights["any"][-1, 0]


def test_strangers_see_what_is_popular_where_what_was_better_once_is_not_so_later():
    once, later = sample_of(60, 1), sample_of(180, 0, seed=1)
    strangers = silenced(joined([once, later], SOURCES), 2)
    weights = learn(with_strangers(strangers, sample_of(600, 1, seed=2))).weights["any"]
    assert weights[-1, 0] > 0
    assert weights[-1, 1] == 0


@pytest.mark.parametrize("only", [1, 2])
def test_strangers_to_whom_popularity_says_nothing_get_what_does(only):
    strangers = silenced(sample_of(60, only), *(source for source in range(len(SOURCES)) if source != only))
    weights = learn(with_strangers(strangers, sample_of(600, 0, seed=1))).weights["any"]
    assert np.isfinite(weights).all()
    assert weights[-1, only] > 0


def test_strangers_of_whom_hardly_anybody_was_proposed_anything_see_what_is_popular():
    strangers = silenced(sample_of(60, 0), *range(len(SOURCES)), rows=slice(N_ITEMS, None))
    weights = learn(with_strangers(strangers, sample_of(600, 1, seed=1))).weights["any"]
    assert np.isfinite(weights).all()
    assert weights[-1, 0] > 0


def test_a_context_with_too_few_cases_serves_the_global_weights():
    blend = learn(and_(sample_of(300, 0, context=0), sample_of(MIN_CASES - 1, 1, context=1, seed=1)))
    without_cases = blend.of("any", CONTEXTS[2])
    assert np.array_equal(blend.of("any", CONTEXTS[1]), without_cases)


def test_a_context_with_few_cases_stays_near_the_global_weights():
    n = MIN_CASES + 10
    blend = learn(and_(sample_of(400, 0, context=0), sample_of(n, 1, context=1, seed=1)))
    everywhere, own = blend.of("any", CONTEXTS[2]), blend.of("any", CONTEXTS[1])
    # Two points of the simplex are at most 2 apart, and the own weights count for n / (n + kappa).
    assert 0 < np.abs(own - everywhere).sum() <= 2 * n / (n + KAPPA) + 1e-6


def test_a_source_that_proposed_nothing_gets_no_weight():
    sample = silenced(sample_of(100, 1), 2)
    assert (learn(sample).weights["new"][:, 2] == 0).all()


def test_a_blend_remembers_how_many_cases_each_context_had():
    blend = learn(and_(sample_of(40, 0, context=0), sample_of(7, 1, context=3)))
    assert list(blend.n_cases["any"]) == [40, 0, 0, 7, 0, 0, 0, 0, 0]


def test_a_task_without_cases_serves_the_prior_weights():
    prior = Blend.prior(SOURCES)
    blend = learn_blend(SOURCES, {"any": sample_of(50, 0), "new": nothing()}, seed=0)
    assert np.array_equal(blend.weights["new"], prior.weights["new"])
    assert blend.of("any", CONTEXTS[0])[0] > 0.5


def test_a_context_where_no_source_proposed_anything_serves_the_global_weights():
    silent = silenced(sample_of(MIN_CASES, 0, context=1), *range(len(SOURCES)))
    blend = learn(and_(sample_of(100, 2), silent))
    assert np.array_equal(blend.of("any", CONTEXTS[1]), blend.of("any", CONTEXTS[2]))


def test_equal_seeds_learn_equal_weights():
    sample = sample_of(60, 2)
    assert np.array_equal(learn(sample, 5).weights["any"], learn(sample, 5).weights["any"])


@pytest.fixture
def one_core():
    """This process and its children get no other."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs to choose its cores")
    mine = os.sched_getaffinity(0)

    def alone():
        os.sched_setaffinity(0, {min(mine)})

    yield alone
    os.sched_setaffinity(0, mine)


@pytest.mark.skipif(n_cores() < 2, reason="needs two cores")
def test_climbs_end_where_they_do_on_one_core(one_core):
    sample = and_(sample_of(MAX_CASES, 0), sample_of(MIN_SPREAD, 1, context=3))
    by_many = learn(sample).weights
    one_core()
    assert n_cores() == 1
    by_one = learn(sample).weights
    assert all(np.array_equal(by_one[task], by_many[task]) for task in TASKS)


@settings(max_examples=8)
@given(n=st.integers(0, 60), seed=st.integers(0, 2**16), context=st.integers(0, len(CONTEXTS) - 1))
def test_weights_lie_on_the_simplex(n, seed, context):
    rng = np.random.default_rng(seed)
    parts = rng.random((n, 5, len(SOURCES))).astype(np.float32) * (rng.random(len(SOURCES)) < 0.7)
    sample = pools_like(parts, rng.random((n, 5)) < 0.3, context)
    for rows in learn(sample, seed).weights.values():
        assert rows.shape == (len(CONTEXTS), len(SOURCES))
        assert (rows >= 0).all()
        assert rows.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_ndcg_of_a_case_is_the_one_by_hand():
    parts = np.array([[[1, 0, 0], [0.5, 0, 0], [0, 0, 0]]], np.float32)
    case = pools_like(parts, np.array([[0, 1, 1]]), 0)
    # The second item is at rank 2; the third has no score, so it is not in the slate at all.
    best = 1 + 1 / np.log2(3)
    assert mean_ndcg(case, np.array([1, 0, 0], np.float32)) == pytest.approx((1 / np.log2(3)) / best)
    assert mean_ndcg(case, np.array([0, 1, 0], np.float32)) == 0


def test_a_purchase_gains_more_than_a_look():
    parts = np.array([[[1, 0, 0], [0.5, 1, 0]]], np.float32)
    case = pools_like(parts, np.array([[1, 3]]), 0)
    looked_first, bought_first = (np.array(w, np.float32) for w in ([1, 0, 0], [0, 1, 0]))
    second = 1 / np.log2(3)
    best = GAINS[3] + GAINS[1] * second
    assert mean_ndcg(case, looked_first) == pytest.approx((GAINS[1] + GAINS[3] * second) / best)
    assert mean_ndcg(case, bought_first) == pytest.approx(GAINS[3] / best)


def test_cases_of_engines_with_different_sources_join_and_a_source_that_was_not_asked_says_nothing():
    first = sample_of(20, 0)
    narrow = first.of_sources(("als", "popular"))
    whole = joined([narrow, sample_of(30, 1, seed=2)], SOURCES)
    assert len(whole) == 50
    assert whole.parts[: 20 * N_ITEMS, [2]].nnz == 0
    assert np.array_equal(whole.take(np.arange(20)).parts[:, :2].toarray(), first.parts[:, :2].toarray())


def test_levels_are_found_by_item_key():
    keys = np.array([5, 7, 9], np.int64)
    assert levels_of(keys, np.array([9, 1, 5]), np.array([3, 2, 1], np.uint8)).tolist() == [1, 0, 3]
