"""Figures of the quality benchmark: values, intervals and the pooled gain."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.scores import bootstrap, gain_of, pooled, values_of

TARGETS = [np.array([7, 9]), np.array([5])]
KEYS = np.array([[7, 1, 9], [1, 2, 3]])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (("recall", 2), [0.5, 0.0]),
        (("recall", 3), [1.0, 0.0]),
        (("hit_rate", 1), [1.0, 0.0]),
        (("mrr", 3), [1.0, 0.0]),
        (("ndcg", 3), [(1 + 0.5) / (1 + 1 / math.log2(3)), 0.0]),
    ],
)
def test_values_of_two_lists_worked_by_hand(metric, expected):
    assert values_of(KEYS, TARGETS, metric).tolist() == pytest.approx(expected)


def test_a_constant_gain_has_an_interval_of_no_width():
    base = np.full(50, 0.2)
    draws = bootstrap(base + 0.05, base, np.arange(50))
    gain = gain_of(base + 0.05, base, draws)
    assert gain.absolute == pytest.approx((0.05, 0.05, 0.05))
    assert gain.relative == pytest.approx((0.25, 0.25, 0.25))


def test_the_pooled_gain_is_the_mean_of_the_relative_gains():
    base = np.full(10, 0.5)
    both = [(base * factor, bootstrap(base * factor, base, np.arange(10))) for factor in (1.1, 0.9, 1.3)]
    gains = [gain_of(ours, base, draws) for ours, draws in both]
    assert pooled(gains, [draws for _, draws in both]) == pytest.approx((0.1, 0.1, 0.1))


def test_pooling_many_alike_tasks_narrows_the_interval():
    rng = np.random.default_rng(0)
    drawn = [(rng.random(300), rng.random(300)) for _ in range(9)]
    draws = [bootstrap(a, b, np.arange(300), seed=i) for i, (a, b) in enumerate(drawn)]
    gains = [gain_of(a, b, one) for (a, b), one in zip(drawn, draws, strict=True)]
    together = pooled(gains, draws)
    assert together.high - together.low < gains[0].relative.high - gains[0].relative.low


def test_cases_of_one_customer_widen_the_interval():
    values = np.repeat(np.arange(20) % 2, 50).astype(float)
    alone = bootstrap(values, values, np.arange(1_000)).ours.std()
    grouped = bootstrap(values, values, np.repeat(np.arange(20), 50)).ours.std()
    assert grouped > 3 * alone


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 5))
def test_a_system_against_itself_gains_nothing(values, seed):
    found = np.array(values)
    gain = gain_of(found, found, bootstrap(found, found, np.arange(len(found)), seed=seed))
    assert gain.absolute == (0, 0, 0)
    assert gain.relative == (0, 0, 0) if found.mean() else math.isnan(gain.relative.mean)
