"""Moves: reasons that sum to the logit, taken from a model that can be added up by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BundleCorrupt
from features.events import DAY_US
from features.journey import Journey
from features.state_table import StateTable
from recommender.engine import KNOWN_ARRAYS
from recommender.move_features import MOVE_FEATURES, REASONS, Alive, features_of
from recommender.moves import MAX_LOGIT, TOP, MoveModel, Moves, Term, pack_moves
from recommender.slate import SlateRequest
from tests.features.histories import START_US, histories
from tests.recommender.hand_moves import ALIVE, MODELS, hand_arrays
from tests.recommender.small import NOW, after, engine_of, line, small_arrays, state_of

JOURNEY = Journey.load(None)
MOVES = Moves(hand_arrays())
EVENTS = {reason.code: reason.events for reason in REASONS}


def moves_of(state, now=NOW, moves=MOVES):
    return moves.of(state, JOURNEY.stage_of(state, now), now)


def test_a_move_by_hand():
    first_intent, first_order = moves_of(after(("item_view", "kettle"), ("item_view", "cup"), ("search", None)))
    assert (first_intent.move, first_intent.horizon_days) == ("first_intent", 1)
    assert [(r.code, r.weight) for r in first_intent.reasons] == [("base", -3.0), ("views", 1.75), ("searches", -0.125)]
    assert first_intent.probability == pytest.approx(1 / (1 + math.exp(1.375)))
    assert [(r.code, r.weight) for r in first_order.reasons] == [("base", -4.0)]


def test_the_first_intent_of_a_stage_is_no_longer_before_who_had_it():
    (only,) = moves_of(after(("item_view", "kettle"), ("cart_add", "cup")))
    assert only.move == "first_order"
    assert [reason.code for reason in only.reasons] == ["base", "carts"]


def test_a_stage_has_only_the_moves_that_start_from_it():
    bought = after(("purchase", "kettle"))
    assert moves_of(bought) == ()
    assert [move.move for move in moves_of(bought, NOW + 30 * DAY_US)] == ["next_order", "lapse"]
    assert moves_of(JOURNEY.schema.empty()) == ()


def test_the_longer_the_silence_the_likelier_a_lapse_and_silence_has_no_events_behind_it():
    state = after(("purchase", "kettle"))
    lapse = moves_of(state, NOW + 20 * DAY_US)[1]
    assert [(reason.code, reason.weight) for reason in lapse.reasons] == [("base", 0.5), ("silence", 1.0)]
    assert EVENTS["silence"] == ()


@given(histories(), st.integers(START_US, START_US + 200 * DAY_US))
def test_reasons_sum_to_the_logit_and_one_at_a_time_equals_many(history, now):
    state = JOURNEY.schema.merge_all(JOURNEY.schema.lift(one) for one in history)
    table = StateTable.from_states(JOURNEY.schema, [state])
    features = features_of(table, np.array([now]), ALIVE)
    standing = JOURNEY.stage_of(state, now)
    for move in MOVES.of(state, standing, now):
        logit = math.log(move.probability / (1 - move.probability))
        assert sum(reason.weight for reason in move.reasons) == pytest.approx(logit, abs=1e-6)
        (model,) = [m for m in MODELS if (m.move, m.stage) == (move.move, standing.stage)]
        assert model.logits(features)[0] == pytest.approx(logit, abs=1e-6)


@given(histories(), st.integers(START_US, START_US + 60 * DAY_US))
def test_without_the_events_behind_a_positive_reason_the_move_is_less_likely(history, now):
    schema = JOURNEY.schema
    state = schema.merge_all(schema.lift(one) for one in history)
    standing = JOURNEY.stage_of(state, now)
    for move in MOVES.of(state, standing, now):
        for reason in (r for r in move.reasons if r.weight > 0 and EVENTS.get(r.code)):
            rest = [one for one in history if one.type not in EVENTS[reason.code]]
            less = MOVES.of(schema.merge_all(schema.lift(one) for one in rest), standing, now)
            (again,) = [m for m in less if m.move == move.move]
            assert again.probability < move.probability


def test_what_no_model_looks_at_changes_no_move():
    events = [("item_view", "kettle"), ("item_view", "cup")]
    known = after(*events)
    also = state_of(line("new", "identify", None, NOW - 1_000_000, properties='{"locale":"tr"}'))
    assert moves_of(JOURNEY.schema.merge(known, also)) == moves_of(known)


def test_what_was_packed_is_what_is_read():
    read = Moves(hand_arrays())
    assert sorted(read.models) == sorted(MODELS)
    assert read.alive == ALIVE
    assert {name: (a.dtype.name, a.ndim) for name, a in hand_arrays().items()} == {
        name: tuple(spec) for name, spec in Moves.arrays.items()
    }


def test_a_bundle_without_moves_answers_without_them():
    assert Moves({}).of(after(("item_view", "kettle")), JOURNEY.stage_of(JOURNEY.schema.empty(), NOW), NOW) == ()


def test_a_probability_is_never_certain():
    sure = MoveModel("first_order", "engagement", 7, 1e4, ())
    (move,) = moves_of(after(("cart_add", "cup")), moves=Moves(pack_moves((sure,), ALIVE)))
    assert move.probability < 1
    assert sure.logits(np.zeros((1, len(MOVE_FEATURES)))).tolist() == [MAX_LOGIT]


DAMAGES = {
    "a move nobody knows": {"moves.move": np.zeros(4, np.int64)},
    "a stage nobody knows": {"moves.stage": np.zeros(4, np.int64)},
    "a feature nobody knows": {"moves.feature": np.zeros(6, np.int64)},
    "too few models": {"moves.base": np.zeros(1)},
    "terms beyond the end": {"moves.terms_at": np.array([0, 3, 4, 5, 99], np.int64)},
    "a term without steps": {"moves.steps_at": np.zeros(7, np.int64)},
    "steps that fall": {"moves.upper": -hand_arrays()["moves.upper"]},
    "too few parameters": {"moves.alive": np.ones(3)},
    "a parameter of nought": {"moves.alive": np.zeros(4)},
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_arrays_that_do_not_fit_together_are_refused(damage):
    with pytest.raises(BundleCorrupt, match="moves"):
        Moves(hand_arrays() | DAMAGES[damage])


def test_the_engine_gives_moves_to_those_who_ask():
    engine = engine_of({**small_arrays(), **hand_arrays()})
    state = after(("item_view", "kettle"), ("item_view", "cup"))
    asked = engine.decide(state, SlateRequest(with_moves=True), NOW)
    assert asked.moves == moves_of(state)
    assert engine.decide(state, SlateRequest(), NOW).moves == ()
    assert asked.items == engine.decide(state, SlateRequest(), NOW).items


def test_a_bundle_may_hold_every_array_of_moves():
    assert {name: KNOWN_ARRAYS[name] for name in Moves.arrays} == Moves.arrays


def test_the_last_step_of_a_term_has_no_end():
    term = Term("n_view", [0.0, 2.0, TOP], [0.0, 1.0, 2.0])
    assert term.of_many(np.array([0.0, 0.5, 2.0, 2.5, TOP])).tolist() == [0.0, 1.0, 1.0, 2.0, 2.0]


def test_parameters_travel_with_the_models():
    alive = Alive(1.0, 2.0, 3.0, 4.0)
    assert Moves(pack_moves(MODELS, alive)).alive == alive
