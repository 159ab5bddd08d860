from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import DAY_US
from features.state_table import StateTable
from features.vector import MAX_AGE_DAYS
from recommender.move_features import (
    BASE,
    MOVE_FEATURES,
    OWN,
    REASON_OF,
    REASONS,
    Alive,
    MoveFeatures,
    alive,
    features_of,
    has_intent,
    value_of_nobody,
)
from tests.features.histories import SCHEMA, START_US, histories, state_of

MODEL = Alive(0.25, 30.0, 0.8, 2.5)


@given(st.lists(histories(), min_size=1, max_size=4), st.integers(START_US, START_US + 450 * DAY_US))
def test_one_customer_has_the_features_that_many_have(several, now):
    states = [state_of(SCHEMA, history) for history in several]
    together = features_of(StateTable.from_states(SCHEMA, states), np.full(len(states), now), MODEL)
    one = MoveFeatures(MOVE_FEATURES, MODEL)
    ours = [name in OWN for name in MOVE_FEATURES]
    for row, state in zip(together, states, strict=True):
        found = np.array(one(state, now))
        assert found[~np.array(ours)].tobytes() == row[~np.array(ours)].tobytes()
        assert found[ours] == pytest.approx(row[ours], rel=1e-12)


def test_nobody_has_the_value_of_nobody_in_every_feature_but_the_clock_s():
    found = dict(zip(MOVE_FEATURES, MoveFeatures(MOVE_FEATURES, MODEL)(SCHEMA.empty(), START_US), strict=True))
    assert all(found[name] == value_of_nobody(name) for name in MOVE_FEATURES if REASON_OF[name].code != "clock")
    assert value_of_nobody("last_view_age_days") == MAX_AGE_DAYS


def test_p_alive_by_hand():
    once = alive(1, 0, 100, MODEL)
    assert once == 1.0
    assert alive(0, 0, 0, MODEL) == 0.0
    # Two orders 30 days apart, 30 days ago: 0.8 / 2.5 * (90 / 60) ^ 1.25 against 1.
    assert alive(2, 30, 60, MODEL) == pytest.approx(1 / (1 + 0.32 * 1.5**1.25))


def test_silence_after_orders_lowers_p_alive():
    found = [float(alive(4, 60, age, MODEL)) for age in (60, 90, 180, 360)]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)


def test_every_feature_has_one_reason_and_every_reason_a_code_of_its_own():
    assert len(set(MOVE_FEATURES)) == len(MOVE_FEATURES)
    codes = [BASE.code, *(reason.code for reason in REASONS)]
    assert len(set(codes)) == len(codes)


def test_an_intent_before_the_stage_began_is_not_of_it():
    evidence = ((10, 1, 1), (20, 1, 0), (30, 2, 0))
    assert has_intent(evidence, 10)
    assert not has_intent(evidence, 11)
    assert not has_intent(evidence, None)
    assert not has_intent((), 0)


def test_a_feature_that_no_move_may_use_is_refused():
    with pytest.raises(KeyError):
        MoveFeatures(["seen_items"], MODEL)
