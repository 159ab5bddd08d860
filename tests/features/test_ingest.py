from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError, InvalidEvent, InvalidId
from features.events import DAY_US, MAX_LINES, MAX_SKEW_US, Consent, Line
from features.ids import key64
from features.ingest import EVENT_FIELDS, IDENTIFY_TRAITS, lines_of

NOW = 1_772_366_400_000_000
VIEW = {"event_id": "e1", "type": "item_view", "customer_id": "c1", "item_id": "i1", "occurred_at": NOW}
ORDER = {"event_id": "o1", "type": "purchase", "customer_id": "c1", "occurred_at": NOW, "currency": "EUR"}

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["e1", "web"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=5,
)
changes = st.dictionaries(st.sampled_from(sorted(EVENT_FIELDS | {"more"})), json_values, max_size=4)


def read(record, **options):
    return lines_of(record, received_at=NOW, source="test", **options)


def the_line(**changes) -> Line:
    (line,) = read(VIEW | changes)
    return line


def refused(record, **options) -> InputError:
    with pytest.raises(InputError) as caught:
        read(record, **options)
    return caught.value


def test_a_simple_event_is_one_line():
    assert the_line() == Line(
        event_id="e1",
        type="item_view",
        customer_id="c1",
        item_id="i1",
        item_key=key64("i1"),
        occurred_at=NOW,
        received_at=NOW,
        source="test",
    )


def test_an_order_has_a_line_an_item_with_its_own_total():
    items = [{"item_id": "a", "quantity": 3, "price": 0.1}, {"item_id": "b", "amount": "19.99"}, "c"]
    lines = read(ORDER | {"items": items})
    assert [(line.line_no, line.item_id, line.quantity, line.amount_minor) for line in lines] == [
        (0, "a", 3, 30),
        (1, "b", 1, 1999),
        (2, "c", 1, None),
    ]
    assert {line.event_id for line in lines} == {"o1"}


def test_amount_is_the_total_and_price_is_of_one_unit():
    assert the_line(type="purchase", quantity=4, price=2.5).amount_minor == 1000
    assert the_line(type="purchase", quantity=4, amount=2.5).amount_minor == 250
    assert the_line(type="purchase", quantity=4, amount=2.5, price=9).amount_minor == 250


def test_a_view_has_no_quantity_of_its_own():
    assert the_line().quantity is None
    assert the_line(type="cart_add").quantity == 1


def test_what_the_catalog_knows_of_an_item_goes_before_what_the_event_says():
    categories = {"i1": "home/cups"}
    (known,) = read(VIEW | {"category": "other"}, category_of=categories.get)
    (unknown,) = read(VIEW | {"category": "other", "item_id": "i2"}, category_of=categories.get)
    assert known.cat_key == key64("home/cups")
    assert unknown.cat_key == key64("other")


def test_an_anonymous_visitor_has_one_form_of_id():
    record = {key: value for key, value in VIEW.items() if key != "customer_id"}
    for given_id in ("v7", "anon:v7"):
        (line,) = read(record | {"anonymous_id": given_id})
        assert line.customer_id == "anon:v7"


def test_with_both_ids_the_customer_is_known_and_the_visitor_is_kept():
    line = the_line(anonymous_id="v7", properties={"a": 1})
    assert line.customer_id == "c1"
    assert line.properties == '{"a":1,"anonymous_id":"anon:v7"}'


def test_an_event_without_a_customer_is_a_signal_about_its_item():
    record = {key: value for key, value in VIEW.items() if key != "customer_id"}
    (line,) = read(record | {"channel": "social"})
    assert line.customer_id is None
    error = refused({key: value for key, value in record.items() if key != "item_id"} | {"type": "page_view"})
    assert error.pointer == "/customer_id"


def test_late_begins_after_a_day_and_the_future_after_five_minutes():
    assert not the_line(occurred_at=NOW - DAY_US).late
    assert the_line(occurred_at=NOW - DAY_US - 1).late
    assert the_line(occurred_at=NOW + MAX_SKEW_US).occurred_at == NOW + MAX_SKEW_US
    assert refused(VIEW | {"occurred_at": NOW + MAX_SKEW_US + 1}).pointer == "/occurred_at"


def test_consent_is_kept_as_bits_and_its_absence_too():
    assert the_line().consent == 0
    assert the_line(consent={"email": False}).consent == Consent.KNOWN
    assert the_line(consent={"personalisation": True, "push": True}).consent == (
        Consent.KNOWN | Consent.PERSONALISATION | Consent.PUSH
    )


def test_identify_keeps_what_is_allowed_and_nothing_else():
    traits = {"locale": "tr", "email": "me@example.com", "name": "A"}
    record = {"event_id": "e", "type": "identify", "customer_id": "c", "occurred_at": NOW, "properties": traits}
    (line,) = read(record)
    assert line.properties == '{"locale":"tr"}'
    assert "email" not in IDENTIFY_TRAITS


def test_a_contact_as_customer_is_refused_unless_the_shop_allows_it():
    record = VIEW | {"customer_id": "me@example.com"}
    assert isinstance(refused(record), InvalidId)
    (line,) = read(record, allow_contact_ids=True)
    assert line.customer_id == "me@example.com"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"event_id": None}, "/event_id"),
        ({"event_id": 5}, "/event_id"),
        ({"type": None}, "/type"),
        ({"type": "dance"}, "/type"),
        ({"type": ["item_view"]}, "/type"),
        ({"customer_id": "a\x00b"}, "/customer_id"),
        ({"customer_id": 5}, "/customer_id"),
        ({"anonymous_id": "x" * 128}, "/anonymous_id"),
        ({"occurred_at": None}, "/occurred_at"),
        ({"occurred_at": "2026-03-01T12:00:00"}, "/occurred_at"),
        ({"occurred_at": float("nan")}, "/occurred_at"),
        ({"item_id": None}, "/item_id"),
        ({"item_id": "\ud800"}, "/item_id"),
        ({"session_id": ""}, "/session_id"),
        ({"channel": "fax"}, "/channel"),
        ({"channel": 5}, "/channel"),
        ({"quantity": 0}, "/quantity"),
        ({"quantity": 2**31}, "/quantity"),
        ({"quantity": 1.5}, "/quantity"),
        ({"quantity": float("inf")}, "/quantity"),
        ({"quantity": True}, "/quantity"),
        ({"amount": float("nan")}, "/amount"),
        ({"amount": -1}, "/amount"),
        ({"amount": 10**18}, "/amount"),
        ({"price": "cheap"}, "/price"),
        ({"amount": 1, "price": "cheap"}, "/price"),
        ({"currency": "euro"}, "/currency"),
        ({"category": "a//b"}, "/category"),
        ({"rank": -1}, "/rank"),
        ({"rank": 2**31}, "/rank"),
        ({"slate_id": {}}, "/slate_id"),
        ({"consent": True}, "/consent"),
        ({"consent": {"sales": True}}, "/consent/sales"),
        ({"consent": {"email": "yes"}}, "/consent/email"),
        ({"properties": []}, "/properties"),
        ({"properties": {"a": float("inf")}}, "/properties/a"),
        ({"colour": "red"}, "/colour"),
        ({"source": "me"}, "/source"),
        ({"items": ["a"]}, "/item_id"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_by_its_pointer(change, pointer):
    error = refused(VIEW | change)
    assert error.pointer == pointer
    assert len(str(error)) < 120


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({}, "/item_id"),
        ({"items": []}, "/item_id"),
        ({"items": "a"}, "/items"),
        ({"items": ["a"] * (MAX_LINES + 1)}, "/items"),
        ({"items": [5]}, "/items/0"),
        ({"items": ["a", {}]}, "/items/1/item_id"),
        ({"items": ["a", {"item_id": "b", "price": float("nan")}]}, "/items/1/price"),
        ({"items": ["a", {"item_id": "b", "colour": 1}]}, "/items/1/colour"),
        ({"items": ["a"], "amount": 5}, "/amount"),
        ({"items": ["a"], "category": "x"}, "/category"),
    ],
)
def test_a_line_of_an_order_that_cannot_be_used_is_named_by_its_place(change, pointer):
    assert refused(ORDER | change).pointer == pointer


def test_an_order_may_have_as_many_lines_as_is_said():
    assert len(read(ORDER | {"items": ["a"] * MAX_LINES})) == MAX_LINES


@pytest.mark.parametrize("record", [None, [], "x", 5])
def test_an_event_is_an_object(record):
    assert isinstance(refused(record), InvalidEvent)


@given(changes)
def test_any_json_object_is_lines_or_a_clear_error(change):
    try:
        lines = read(VIEW | change)
    except InputError as error:
        error.pointer.encode("ascii")
    else:
        assert [line.line_no for line in lines] == list(range(len(lines)))
        assert all(line.amount_minor is None or 0 <= line.amount_minor < 2**63 for line in lines)
