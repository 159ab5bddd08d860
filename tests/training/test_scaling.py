from __future__ import annotations

import numpy as np
import pytest

from recommender.scale import Scale
from training.scaling import MIN_SLOPE, MIN_TOUCHED, fit_lines


def touched_at(rng, score, intercept, slope):
    return rng.random(len(score)) < 1 / (1 + np.exp(-(intercept + slope * score)))


def test_the_line_that_made_the_touches_is_found_for_each_kind():
    rng = np.random.default_rng(0)
    score, kind = rng.random(60_000).astype(np.float32), rng.integers(0, 2, 60_000).astype(np.int32)
    is_touched = np.where(kind == 0, touched_at(rng, score, -3, 4), touched_at(rng, score, -1, 1))
    lines = fit_lines(score, is_touched, kind)
    np.testing.assert_allclose(lines[:2], [[-3, 4], [-1, 1]], atol=0.15)


def test_a_kind_without_candidates_has_the_line_of_all():
    rng = np.random.default_rng(1)
    score = rng.random(5_000).astype(np.float32)
    lines = fit_lines(score, touched_at(rng, score, -2, 2), np.zeros(5_000, np.int32))
    assert lines[2].tolist() == lines[1].tolist()
    assert lines[2] == pytest.approx(lines[0], abs=0.1)


def test_a_score_that_misleads_never_turns_the_order_round():
    rng = np.random.default_rng(2)
    score = rng.random(5_000).astype(np.float32)
    lines = fit_lines(score, touched_at(rng, score, 1, -3), np.zeros(5_000, np.int32))
    assert (lines[:, 1] >= np.float32(MIN_SLOPE)).all()


def test_too_few_touches_leave_scores_as_they_are():
    is_touched = np.arange(1_000) < MIN_TOUCHED - 1
    lines = fit_lines(np.ones(1_000, np.float32), is_touched, np.zeros(1_000, np.int32))
    assert lines.tolist() == [[0, 1]] * 3
    assert not Scale(np.stack([lines, lines])).is_calibrated
