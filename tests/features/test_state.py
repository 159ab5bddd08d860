"""The customer state: an algebra, kept by every field."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import Line, canonical
from features.state import Schema
from features.state_fields import FIELDS, Extreme, Last, Predicate, Recent, Signal, Total
from tests.features.histories import ODD_VALUES, SCHEMA, SIGNALS, START_US, histories, state_of

TINY = Schema(
    SIGNALS,
    (
        Total("n_touch", "touch"),
        Extreme("last_view", "view", last=True),
        Recent("days", ("day",), (("touch", "touch", "event"), ("cents", "buy", "cents")), keep=2),
        Recent("seen", ("t", "item", "cat"), (("views", "view", "line"), ("carts", "cart", "line")), keep=3),
        Last("locale", "identify"),
    ),
)
"""The same atoms with so little room that a handful of lines overflows it."""

schemas = st.sampled_from([SCHEMA, TINY])


def line(event_id="e1", event_type="item_view", at=START_US, **more) -> Line:
    return Line(event_id=event_id, type=event_type, occurred_at=at, received_at=at, **more)


@given(schemas, histories(), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(schema, history, random):
    shuffled = history.copy()
    random.shuffle(shuffled)
    assert state_of(schema, shuffled) == state_of(schema, history)


@given(schemas, histories(), st.data())
def test_a_history_may_be_split_anywhere_and_merged(schema, history, data):
    cut = data.draw(st.integers(0, len(history)))
    parts = state_of(schema, history[:cut]), state_of(schema, history[cut:])
    assert schema.merge(*parts) == schema.merge(*reversed(parts)) == state_of(schema, history)


@given(schemas, histories(), histories())
def test_lines_enter_a_state_as_their_own_states_would(schema, before, history):
    state = state_of(schema, before)
    assert schema.with_lines(state, history) == schema.merge(state, state_of(schema, history))


@given(schemas, histories(), histories(), histories())
def test_merging_is_associative(schema, a, b, c):
    a, b, c = (state_of(schema, history) for history in (a, b, c))
    assert schema.merge(schema.merge(a, b), c) == schema.merge(a, schema.merge(b, c))


@given(schemas, histories())
def test_the_empty_state_changes_nothing(schema, history):
    state = state_of(schema, history)
    assert schema.merge(state, schema.empty()) == schema.merge(schema.empty(), state) == state


@given(schemas, histories())
def test_a_state_survives_its_codec(schema, history):
    state = state_of(schema, history)
    raw = schema.encode(state)
    assert schema.decode(raw) == state
    assert schema.encode(schema.decode(raw)) == raw


@given(histories())
def test_late_lines_do_not_count(history):
    assert state_of(SCHEMA, history) == state_of(SCHEMA, [one for one in history if not one.late])


@given(histories())
def test_records_are_sorted_by_unique_keys(history):
    state = state_of(TINY, history)
    for name, n_key in (("days", 1), ("seen", 3)):
        keys = [record[:n_key] for record in getattr(state, name)]
        assert keys == sorted(set(keys))


def test_bytes_of_another_schema_are_refused():
    with pytest.raises(msgspec.DecodeError):
        SCHEMA.decode(b"\x01")


def test_exactly_keep_records_stay_and_one_more_drops_the_least_key():
    at = [START_US + n for n in range(4)]
    history = [line(f"e{n}", at=t, item_key=1) for n, t in enumerate(at)]
    assert [record[0] for record in state_of(TINY, history[:3]).seen] == at[:3]
    assert [record[0] for record in state_of(TINY, history).seen] == at[1:]
    assert [record[0] for record in state_of(TINY, history[::-1]).seen] == at[1:]


def test_a_record_is_dropped_by_its_key_however_much_it_sums():
    heavy = [line(f"h{n}", at=START_US, item_key=1) for n in range(5)]
    light = [line(f"l{n}", at=START_US + 1 + n, item_key=1) for n in range(3)]
    assert state_of(TINY, heavy + light) == state_of(TINY, light + heavy)
    assert START_US not in {record[0] for record in state_of(TINY, heavy + light).seen}


def test_lines_with_the_same_key_add_up():
    history = [
        line("a", item_key=7, cat_key=9),
        line("b", item_key=7, cat_key=9),
        line("c", "cart_add", item_key=7, cat_key=9),
    ]
    assert state_of(TINY, history).seen == ((START_US, 7, 9, 2, 1),)


def test_ties_in_time_are_told_apart_by_item_and_category():
    history = [line("a", item_key=2), line("b", item_key=-1), line("c", item_key=2, cat_key=5)]
    assert [record[:3] for record in state_of(TINY, history).seen] == [
        (START_US, -1, 0),
        (START_US, 2, 0),
        (START_US, 2, 5),
    ]


def test_a_line_without_an_item_leaves_no_record_of_items():
    state = state_of(SCHEMA, [line(event_type="item_view")])
    assert state.seen == ()
    assert state.n_view == 1


def test_the_latest_declaration_wins_and_a_tie_goes_to_the_greater_event_id():
    def said(event_id, at, value):
        return line(event_id, "identify", at, properties=canonical({"locale": value}))

    history = [said("z", START_US, "tr"), said("a", START_US + 1, "ar"), said("b", START_US + 1, "en")]
    assert state_of(SCHEMA, history).locale == (START_US + 1, "b", "en")
    assert state_of(SCHEMA, history[::-1]).locale == (START_US + 1, "b", "en")


def test_a_declaration_that_says_nothing_of_a_fact_leaves_it():
    history = [line("a", "identify", properties='{"locale":"tr"}'), line("b", "identify", START_US + 1)]
    assert state_of(SCHEMA, history).locale == (START_US, "a", "tr")


def test_an_order_of_three_lines_is_one_order_and_three_lines_of_spend():
    history = [line("o", "purchase", line_no=n, item_key=n, amount_minor=100, quantity=2) for n in range(3)]
    state = state_of(SCHEMA, history)
    assert (state.n_buy, state.n_order, state.spend, state.n_units) == (1, 1, 300, 6)
    assert len(state.bought) == 3


values = st.sampled_from(ODD_VALUES) | st.text(max_size=5) | st.integers(-99, 99) | st.booleans()
names = st.sampled_from(["full", "isfull", "full.x", "a"])


@given(st.dictionaries(names, values, max_size=4), names, values)
def test_a_property_predicate_means_what_it_says(properties, name, wanted):
    where = Predicate(("refund",), ((name, wanted),))
    schema = Schema({**SIGNALS, "cancelled": Signal((where,))}, (Total("n_cancelled", "cancelled"),))
    found = state_of(schema, [line(event_type="refund", properties=canonical(properties))]).n_cancelled
    has_it = name in properties and type(properties[name]) is type(wanted) and properties[name] == wanted
    assert found == int(has_it)


@given(st.sampled_from(ODD_VALUES), st.sampled_from(ODD_VALUES))
def test_all_properties_of_a_predicate_have_to_be_there(first, second):
    where = Predicate(("refund",), (("a", first), ("b", second)))
    schema = Schema({**SIGNALS, "cancelled": Signal((where,))}, (Total("n_cancelled", "cancelled"),))
    both, one = canonical({"a": first, "b": second}), canonical({"a": first})
    assert state_of(schema, [line(event_type="refund", properties=both)]).n_cancelled == 1
    assert state_of(schema, [line(event_type="refund", properties=one)]).n_cancelled == 0


def test_a_line_counts_once_however_many_predicates_hold():
    twice = Signal((Predicate(("purchase",)), Predicate(("purchase", "checkout"))))
    schema = Schema({**SIGNALS, "order": twice})
    assert state_of(schema, [line(event_type="purchase")]).n_order == 1


def test_the_hash_names_fields_sizes_and_signals():
    other_signals = {**SIGNALS, "intent": Signal.of("cart_add")}
    other_size = (*FIELDS[:-1], Recent("evidence2", ("t",), (("intent", "intent", "event"),), keep=1))
    hashes = {SCHEMA.hash, TINY.hash, Schema(other_signals).hash, Schema(SIGNALS, other_size).hash}
    assert len(hashes) == 4
    assert Schema(SIGNALS).hash == SCHEMA.hash
