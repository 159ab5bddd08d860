from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.gains import Said, Targets, discounted, places, stepped
from training.pools import DISCOUNT


def by_sorting(score, gain, bounds):
    """Discounted gain of each case, from its whole ranking; of equal scores the first comes first."""
    found = []
    for start, end in itertools.pairwise(bounds):
        order = np.argsort(-score[start:end], kind="stable")[: len(DISCOUNT)]
        shown = order[score[start:end][order] > 0]
        found.append(float(gain[start:end][shown] @ DISCOUNT[: len(shown)]))
    return np.array(found)


def targets_of(gain, bounds):
    row = np.flatnonzero(gain > 0)
    return Targets(row, np.searchsorted(row, bounds).astype(np.int64), gain[row])


@st.composite
def cases(draw):
    """Scores, gains and bounds of some cases; with few values there are many ties."""
    lengths = draw(st.lists(st.integers(0, 90), min_size=1, max_size=5))
    rng, n = np.random.default_rng(draw(st.integers(0, 2**16))), sum(lengths)
    n_values = draw(st.integers(1, 40))
    score, part = (rng.integers(-1, n_values, n).astype(np.float32) for _ in range(2))
    part[rng.random(n) < draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))] = 0
    gain = (rng.random(n) < 0.2).astype(np.float32)
    return score, part, gain, np.cumsum([0, *lengths]).astype(np.int64)


@given(cases())
def test_what_is_counted_is_what_sorting_gives(drawn):
    score, _, gain, bounds = drawn
    assert discounted(score, gain, bounds, DISCOUNT) == pytest.approx(by_sorting(score, gain, bounds))


@settings(max_examples=200)
@given(cases(), st.lists(st.sampled_from([0.0, 0.5, 1.0, -2.0, 3.0]), min_size=1, max_size=5))
def test_a_step_is_worth_what_ranking_anew_would_be(drawn, steps):
    score, part, gain, bounds = drawn
    targets, spoken = targets_of(gain, bounds), np.flatnonzero(part)
    said = Said(spoken.astype(np.int32), part[spoken])
    place = places(score, bounds, targets.row, targets.bounds)
    found = stepped(score, said, np.array(steps, np.float32), targets, place, bounds)
    anew = [by_sorting(score + np.float32(step) * part, gain, bounds).mean() for step in steps]
    assert found == pytest.approx(anew)


def test_places_by_hand_where_scores_are_equal():
    score = np.array([3, 5, 5, 1, 2, 2], np.float32)
    bounds, row = np.array([0, 4, 6], np.int64), np.array([0, 2, 5], np.int64)
    assert places(score, bounds, row, np.array([0, 2, 3], np.int64)).tolist() == [2, 1, 1]
