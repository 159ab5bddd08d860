"""Figures of moves against tables worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import DAY_US
from features.state_table import NEVER
from recommender.move_features import MOVE_FEATURES
from recommender.moves import TOP, MoveModel, Term
from training.move_report import Trial, debiased_ece, evaluate_moves, log_loss, reliability, table_of_moves
from training.move_rows import Moments, Rows


def test_log_loss_by_hand():
    assert log_loss(np.array([0.5, 0.25]), np.array([True, False])) == pytest.approx(-math.log(0.5 * 0.75) / 2)


def test_bins_hold_equally_many_by_ascending_probability():
    p, y = np.array([0.9, 0.1, 0.8, 0.2]), np.array([True, False, False, True])
    low, high = reliability(p, y, 2)
    assert (low.n, low.predicted, low.observed) == (2, pytest.approx(0.15), 0.5)
    assert (high.n, high.predicted, high.observed) == (2, pytest.approx(0.85), 0.5)


def test_the_error_of_a_constant_by_hand():
    # One bin of 10,000: frequency .5, said .6; the noise of .005 hardly widens a gap of .1.
    y = np.arange(10_000) % 2 == 0
    assert debiased_ece(np.full(10_000, 0.6), y, 1) == pytest.approx(0.1, abs=1e-6)
    # No gap: what noise alone would show is more than what is seen.
    assert debiased_ece(np.full(10_000, 0.5), y, 1) == 0.0


@given(st.integers(0, 2_000))
def test_calibrated_probabilities_have_next_to_no_error_and_shifted_ones_their_shift(seed):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.1, 0.8, 20_000)
    y = rng.random(20_000) < p
    assert debiased_ece(p, y) < 0.02
    assert debiased_ece(p + 0.1, y) == pytest.approx(0.1, abs=0.02)


def rows_of_hand(n=4_000, seed=0):
    """Customers half of whom came today and half 100 days ago; the first order twice as often, visits odd rows."""
    rng = np.random.default_rng(seed)
    features = np.zeros((n, len(MOVE_FEATURES)))
    is_silent = np.arange(n) % 4 >= 2
    features[:, MOVE_FEATURES.index("last_touch_age_days")] = np.where(is_silent, 100.0, 0.0)
    y = rng.random(n) < np.where(is_silent, 0.2, 0.4)
    moments = Moments(np.arange(n), np.full(n, 200 * DAY_US), np.arange(n) % 2 == 1)
    since = np.where(is_silent, NEVER, 190 * DAY_US)
    return Rows(moments, np.full(n, 3, np.uint8), np.zeros(n, np.uint8), since, np.zeros(n, np.bool_), features, {}), y


def trial_of(y, recent, silent):
    """A model that knows the two chances; the first half of the rows trains the baselines."""
    logit = [math.log(p / (1 - p)) for p in (recent, silent)]
    term = Term("last_touch_age_days", [50.0, TOP], [0.0, logit[1] - logit[0]])
    half = np.arange(len(y) // 2)
    return Trial(MoveModel("next_order", "retention", 30, logit[0], (term,)), half, half + len(half), y)


def test_a_model_of_the_truth_beats_the_frequencies_that_do_not_know_it():
    rows, y = rows_of_hand()
    every, cut_offs, visits = evaluate_moves(rows, [trial_of(y, 0.4, 0.2)])
    assert [row.moments for row in (every, cut_offs, visits)] == ["all", "cut-offs", "visits"]
    assert every.n == cut_offs.n + visits.n == 2_000
    assert every.n_happened == int(y[2_000:].sum())
    assert every.log_loss < every.log_losses["base rate"] == every.log_losses["Markov"]
    assert every.log_losses["90/365 days"] == pytest.approx(every.log_loss, abs=0.01)
    assert every.brier_skill > 0
    assert every.ece < 0.02
    assert every.slope is not None
    assert every.slope[1] < 1 < every.slope[2]


def test_a_model_of_the_opposite_is_worse_than_the_base_rate():
    rows, y = rows_of_hand()
    every = evaluate_moves(rows, [trial_of(y, 0.2, 0.4)])[0]
    assert not every.is_better
    assert every.brier_skill < 0
    assert every.ece > 0.1
    assert every.slope is not None
    assert every.slope[2] < 0


def test_the_base_rate_is_counted_in_the_training_rows_alone():
    rows, y = rows_of_hand()
    flipped = np.concatenate([y[:2_000], ~y[2_000:]])
    rate = (y[:2_000].sum() + 0.5) / 2_001
    for later in (y, flipped):
        every = evaluate_moves(rows, [trial_of(later, 0.4, 0.2)])[0]
        share = later[2_000:].mean()
        expected = -share * math.log(rate) - (1 - share) * math.log(1 - rate)
        assert every.log_losses["base rate"] == pytest.approx(expected, abs=1e-3)


def test_a_slope_that_nothing_can_be_said_of_is_not_said():
    rows, _ = rows_of_hand()
    never = np.zeros(4_000, np.bool_)
    (record, *_) = table_of_moves(evaluate_moves(rows, [trial_of(never, 0.4, 0.2)]))
    assert record["slope"] is None
    assert record["base_rate"] == 0
    assert record["log_loss of semi-Markov"] > 0
