"""The plain twin of the kernel: the same bits, one customer at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import DAY_US
from features.plain import PLAIN_NAMES, PlainFeatures, age_days, purchase_days
from features.state_table import StateTable
from features.vector import FEATURE_NAMES, MAX_AGE_DAYS, vectors
from tests.features.histories import N_DAYS, SCHEMA, START_US, histories, state_of

moments = st.integers(START_US, START_US + 500 * DAY_US)


@given(histories(), moments)
def test_every_plain_feature_has_the_bits_of_the_kernel(history, now):
    state = state_of(SCHEMA, history)
    kernel = vectors(StateTable.from_states(SCHEMA, [state]), np.array([now]))[0]
    expected = kernel[[FEATURE_NAMES.index(name) for name in PLAIN_NAMES]]
    assert np.array(PlainFeatures(PLAIN_NAMES)(state, now)).tobytes() == expected.tobytes()


@given(histories(), moments, st.lists(st.sampled_from(PLAIN_NAMES), unique=True))
def test_a_feature_does_not_depend_on_which_others_are_asked_for(history, now, names):
    state = state_of(SCHEMA, history)
    every = dict(zip(PLAIN_NAMES, PlainFeatures(PLAIN_NAMES)(state, now), strict=True))
    assert PlainFeatures(names)(state, now) == [every[name] for name in names]


@pytest.mark.parametrize("name", ["session_touches", "seen_items", "nothing", "nothing_age_days"])
def test_what_there_is_no_twin_of_is_refused(name):
    with pytest.raises(KeyError):
        PlainFeatures([name])


def test_days_with_a_purchase_by_hand():
    touches = (1,) * 6
    days = tuple((day, *touches, buy, buy, buy) for day, buy in [(3, 0), (5, 1), (9, 2)])
    assert purchase_days(days) == (2, 5, 9)
    assert purchase_days(days[:1]) == (0, 0, 0)


def test_ages_by_hand():
    now = START_US + N_DAYS * DAY_US
    assert age_days(None, now) == MAX_AGE_DAYS
    assert age_days(START_US, now) == N_DAYS
    assert age_days(now + 1, now) == 0
    assert age_days(0, now) == MAX_AGE_DAYS
