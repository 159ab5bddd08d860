from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.blend import CONTEXTS, TASKS, Blend
from training.blending import KAPPA, MIN_CASES, Sample, learn_blend

SOURCES = ("popular", "als", "content")
N_ITEMS = 30


def sample_of(n, right, *, context=0, seed=0):
    """Cases with one target each, which source ``right`` always puts first and the others at random."""
    rng = np.random.default_rng(seed)
    parts = rng.random((n, N_ITEMS, len(SOURCES))).astype(np.float32)
    is_target = np.zeros((n, N_ITEMS), np.bool_)
    is_target[np.arange(n), rng.integers(0, N_ITEMS, n)] = True
    parts[:, :, right] = np.where(is_target, 1, 0.5 * parts[:, :, right])
    return Sample(parts, is_target, np.ones(n), np.full(n, context, np.int32))


def nothing():
    return Sample(
        np.zeros((0, 1, len(SOURCES)), np.float32), np.zeros((0, 1), np.bool_), np.zeros(0), np.zeros(0, np.int32)
    )


def learn(sample, seed=0):
    return learn_blend(SOURCES, dict.fromkeys(TASKS, sample), seed=seed)


@pytest.mark.parametrize("right", range(len(SOURCES)))
def test_the_source_that_is_right_gets_the_weight(right):
    sample = sample_of(200, right)
    for task in TASKS:
        weights = learn(sample).of(task, CONTEXTS[0])
        assert weights[right] == max(weights) > 0.5
        assert sample.ndcg(weights) == pytest.approx(1, abs=0.01)


def test_a_context_with_cases_of_its_own_moves_towards_what_is_right_there():
    sample = sample_of(400, 0, context=0).and_(sample_of(400, 1, context=1, seed=1))
    blend = learn(sample)
    assert blend.of("any", CONTEXTS[0])[0] > blend.of("any", CONTEXTS[1])[0]
    assert blend.of("any", CONTEXTS[1])[1] > blend.of("any", CONTEXTS[0])[1]


def test_a_context_with_too_few_cases_serves_the_global_weights():
    blend = learn(sample_of(300, 0, context=0).and_(sample_of(MIN_CASES - 1, 1, context=1, seed=1)))
    without_cases = blend.of("any", CONTEXTS[2])
    assert np.array_equal(blend.of("any", CONTEXTS[1]), without_cases)


def test_a_context_with_few_cases_stays_near_the_global_weights():
    n = MIN_CASES + 10
    blend = learn(sample_of(400, 0, context=0).and_(sample_of(n, 1, context=1, seed=1)))
    everywhere, own = blend.of("any", CONTEXTS[2]), blend.of("any", CONTEXTS[1])
    # Two points of the simplex are at most 2 apart, and the own weights count for n / (n + kappa).
    assert 0 < np.abs(own - everywhere).sum() <= 2 * n / (n + KAPPA) + 1e-6


def test_a_source_that_proposed_nothing_gets_no_weight():
    sample = sample_of(100, 1)
    sample.parts[:, :, 2] = 0
    assert (learn(sample).weights["new"][:, 2] == 0).all()


def test_a_blend_remembers_how_many_cases_each_context_had():
    blend = learn(sample_of(40, 0, context=0).and_(sample_of(7, 1, context=3)))
    assert list(blend.n_cases["any"]) == [40, 0, 0, 7, 0, 0, 0, 0]


def test_a_task_without_cases_serves_the_prior_weights():
    prior = Blend.prior(SOURCES)
    blend = learn_blend(SOURCES, {"any": sample_of(50, 0), "new": nothing()}, seed=0)
    assert np.array_equal(blend.weights["new"], prior.weights["new"])
    assert blend.of("any", CONTEXTS[0])[0] > 0.5


def test_a_context_where_no_source_proposed_anything_serves_the_global_weights():
    silent = sample_of(MIN_CASES, 0, context=1)
    silent.parts[:] = 0
    blend = learn(sample_of(100, 2).and_(silent))
    assert np.array_equal(blend.of("any", CONTEXTS[1]), blend.of("any", CONTEXTS[2]))


def test_equal_seeds_learn_equal_weights():
    sample = sample_of(60, 2)
    assert np.array_equal(learn(sample, 5).weights["any"], learn(sample, 5).weights["any"])


@settings(max_examples=8)
@given(n=st.integers(0, 60), seed=st.integers(0, 2**16), context=st.integers(0, len(CONTEXTS) - 1))
def test_weights_lie_on_the_simplex(n, seed, context):
    rng = np.random.default_rng(seed)
    parts = rng.random((n, 5, len(SOURCES))).astype(np.float32) * (rng.random(len(SOURCES)) < 0.7)
    sample = Sample(parts.astype(np.float32), rng.random((n, 5)) < 0.3, np.ones(n), np.full(n, context, np.int32))
    for rows in learn(sample, seed).weights.values():
        assert rows.shape == (len(CONTEXTS), len(SOURCES))
        assert (rows >= 0).all()
        assert rows.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_ndcg_of_a_sample_is_the_one_by_hand():
    parts = np.array([[[1, 0, 0], [0.5, 0, 0], [0, 0, 0]]], np.float32)
    is_target = np.array([[False, True, True]])
    ideal = np.array([1 + 1 / np.log2(3)])
    sample = Sample(parts, is_target, ideal, np.zeros(1, np.int32))
    # The second item is at rank 2; the third has no score, so it is not in the slate at all.
    assert sample.ndcg(np.array([1, 0, 0], np.float32)) == pytest.approx((1 / np.log2(3)) / ideal[0])
    assert sample.ndcg(np.array([0, 1, 0], np.float32)) == 0


def test_samples_of_different_widths_join_without_changing_either():
    narrow, wide = sample_of(20, 0), sample_of(30, 0, seed=2)
    cut = Sample(narrow.parts[:, :10], narrow.is_target[:, :10], narrow.ideal, narrow.context)
    joined, weights = cut.and_(wide), np.full(3, 1 / 3, np.float32)
    assert len(joined) == 50
    assert joined.ndcg(weights) == pytest.approx((20 * cut.ndcg(weights) + 30 * wide.ndcg(weights)) / 50)
