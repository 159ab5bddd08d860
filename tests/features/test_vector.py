"""The feature kernel: the same bytes for the same state, whoever built it and whoever stands beside it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.events import DAY_US, Line
from features.vector import BLOCK, FEATURE_NAMES, MAX_AGE_DAYS, StateTable, vectors
from features.weights import DAY_WEIGHTS, HALF_LIVES_DAYS, ONE, decay_table, window_table
from features.weights import MAX_AGE_DAYS as MAX_WEIGHT_AGE
from tests.features.histories import N_DAYS, SCHEMA, START_DAY, START_US, histories, state_of

HOUR_US = 3_600_000_000
moments = st.integers(START_US, START_US + 3 * N_DAYS * DAY_US)


def table_of(*several) -> StateTable:
    return StateTable.from_states(SCHEMA, [state_of(SCHEMA, history) for history in several])


def features_of(history, now) -> dict[str, float]:
    found = vectors(table_of(history), np.array([now]))
    return dict(zip(FEATURE_NAMES, found[0].tolist(), strict=True))


def line(event_type, day, hour=0.0, item=None, **more) -> Line:
    at = START_US + round(day * DAY_US + hour * HOUR_US)
    return Line(event_id=f"{at}", type=event_type, occurred_at=at, received_at=at, item_key=item, **more)


@given(st.lists(histories(max_size=6), max_size=5))
def test_a_table_gives_back_the_states_it_was_made_of(several):
    states = [state_of(SCHEMA, history) for history in several]
    table = StateTable.from_states(SCHEMA, states)
    assert len(table) == len(states)
    assert [table.state(i) for i in range(len(table))] == states


@given(st.lists(histories(max_size=6), min_size=1, max_size=5), st.data())
def test_rows_may_be_taken_in_any_order_and_repeatedly(several, data):
    table = table_of(*several)
    idx = data.draw(hnp.arrays(np.int64, st.integers(0, 8), elements=st.integers(0, len(several) - 1)))
    taken = table.take(idx)
    assert [taken.state(i) for i in range(len(taken))] == [table.state(i) for i in idx]
    now = np.full(len(several), START_US + N_DAYS * DAY_US)
    assert vectors(taken, now[idx]).tobytes() == vectors(table, now)[idx].tobytes()


@given(histories(), moments, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_change_a_bit(history, now, random):
    shuffled = history.copy()
    random.shuffle(shuffled)
    at = np.array([now])
    assert vectors(table_of(history), at).tobytes() == vectors(table_of(shuffled), at).tobytes()


@given(st.lists(histories(max_size=10), min_size=1, max_size=8), st.data())
def test_a_row_does_not_depend_on_the_rows_beside_it(several, data):
    now = np.array(data.draw(st.lists(moments, min_size=len(several), max_size=len(several))))
    together = vectors(table_of(*several), now)
    for i, history in enumerate(several):
        assert vectors(table_of(history), now[i : i + 1]).tobytes() == together[i].tobytes()


@given(st.lists(histories(max_size=10), min_size=1, max_size=4), moments)
def test_a_row_does_not_depend_on_the_block_it_lies_in(several, now):
    table = table_of(*several)
    idx = np.arange(BLOCK + 3) % len(several)
    found = vectors(table.take(idx), np.full(len(idx), now))
    assert found.tobytes() == vectors(table, np.full(len(several), now))[idx].tobytes()


@given(histories(), st.integers(0, START_US * 2))
def test_features_are_finite_and_never_negative_whatever_the_moment(history, now):
    found = [line for line in history if line.amount_minor is None or line.amount_minor >= 0]
    features = vectors(table_of(found), np.array([now]))
    assert features.shape == (1, len(FEATURE_NAMES))
    assert np.isfinite(features).all()
    assert (features >= 0).all()


def test_no_customers_give_no_rows():
    assert vectors(table_of(), np.array([], np.int64)).shape == (0, len(FEATURE_NAMES))


def test_names_are_unique():
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)


@pytest.mark.parametrize("half_life", HALF_LIVES_DAYS)
def test_weights_are_the_rounded_powers_at_every_age(half_life):
    """Exact: ``w`` is right when ``(w - 1/2)^h <= 2^(16 h - age) < (w + 1/2)^h`` in rational numbers."""
    column = decay_table((half_life,))[:, 0].tolist()
    for age, weight in enumerate(column):
        power = Fraction(2) ** (16 * half_life - age)
        assert Fraction(2 * weight - 1, 2) ** half_life <= power if weight else True
        assert power < Fraction(2 * weight + 1, 2) ** half_life
    assert column[0] == ONE
    assert column[half_life] == ONE // 2
    assert column[-1] == 0


def test_windows_count_today_as_their_first_day():
    assert window_table((1, 7))[[0, 1, 6, 7]].tolist() == [[ONE, ONE], [0, ONE], [0, ONE], [0, 0]]
    assert len(DAY_WEIGHTS) == MAX_WEIGHT_AGE + 1


def test_a_customer_of_whom_nothing_is_known():
    features = features_of([], START_US)
    never = {name for name, value in features.items() if value == MAX_AGE_DAYS}
    assert never == {name for name in FEATURE_NAMES if name.endswith("_age_days")}
    assert {name for name, value in features.items() if value and name not in never} == {"weekday"}


def test_decay_and_windows_by_hand():
    history = [line("item_view", 0), line("item_view", 0, 1), line("item_view", 6), line("cart_add", 7, 1)]
    features = features_of(history, START_US + 7 * DAY_US + 2 * HOUR_US)
    assert features["view_h7d"] == 1.0 + decay_table((7,))[1, 0] / ONE
    assert features["view_h1d"] == 2 / 128 + 0.5
    assert features["cart_h90d"] == 1.0
    assert [features[f"touch_{w}d"] for w in (1, 7, 30, 90)] == [1, 2, 4, 4]
    assert [features[f"active_{w}d"] for w in (1, 7, 30, 90)] == [1, 2, 3, 3]
    assert features["active_ever"] == 3
    assert features["last_view_age_days"] == 1 + 2 / 24
    assert features["first_touch_age_days"] == 7 + 2 / 24
    assert (features["hour"], features["weekday"]) == (2, (START_DAY + 7 + 3) % 7)


def test_purchases_by_hand():
    history = [
        line("purchase", 0, item=1, quantity=2, amount_minor=300),
        line("purchase", 4, item=1, amount_minor=100),
        line("purchase", 4, 1, item=2, amount_minor=200),
        line("purchase", 10, item=3, amount_minor=0),
        line("refund", 11, amount_minor=150),
    ]
    features = features_of(history, START_US + 16 * DAY_US)
    assert features["purchase_days"] == 3
    assert features["mean_purchase_gap_days"] == 5
    assert features["purchase_overdue_ratio"] == 6 / 5
    assert (features["bought_items"], features["repeat_items"], features["repeat_share"]) == (3, 1, 1 / 3)
    assert features["item_overdue_ratio"] == 12 / 4
    assert (features["spend"], features["mean_order"], features["return_share"]) == (600, 150, 0.25)
    assert (features["n_order"], features["n_units"]) == (4, 2)


def test_the_current_session_by_hand():
    history = [
        line("item_view", 0, 0.0, item=9, cat_key=3),
        line("item_view", 0, 1.0, item=1, cat_key=1),
        line("content_read", 0, 1.5, item=5),
        line("item_view", 0, 1.75, item=1, cat_key=1),
        line("cart_add", 0, 1.8, item=1, cat_key=1),
        line("cart_add", 0, 1.9, item=2, cat_key=2),
        line("cart_remove", 0, 1.95, item=2, cat_key=2),
    ]
    features = features_of(history, START_US + 2 * HOUR_US)
    names = ("touches", "views", "reads", "carts", "items", "categories", "minutes", "is_live")
    assert [features[f"session_{name}"] for name in names] == [6, 2, 1, 2, 3, 2, 57, 1]
    assert (features["seen_items"], features["seen_twice_items"], features["cart_items"]) == (4, 1, 1)
    assert features["top_category_share"] == 3 / 6
    assert features_of(history, START_US + 4 * HOUR_US)["session_is_live"] == 0


def test_what_was_bought_has_left_the_cart():
    history = [line("cart_add", 0, item=1), line("cart_add", 0, 1, item=2), line("purchase", 0, 2, item=1)]
    assert features_of(history, START_US + DAY_US)["cart_items"] == 1
    again = [*history, line("cart_add", 0, 3, item=1)]
    assert features_of(again, START_US + DAY_US)["cart_items"] == 2


def test_channels_count_what_the_customer_did():
    history = [
        line("item_view", 0, channel="app"),
        line("support_open", 0, 1, channel="phone"),
        line("page_view", 0, 2),
    ]
    features = features_of(history, START_US + 3 * DAY_US)
    assert [features[f"n_{channel}"] for channel in ("web", "app", "phone", "store")] == [1, 1, 1, 0]


def test_what_happens_after_the_moment_counts_as_happening_at_it():
    features = features_of([line("item_view", 3)], START_US)
    assert (features["view_h1d"], features["last_view_age_days"]) == (1.0, 0.0)
