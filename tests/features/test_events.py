from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidEvent
from features.events import (
    COLUMNS,
    DAY_US,
    LATE_AFTER_US,
    MAX_PROPERTIES_BYTES,
    OTHER_NAMES,
    WITH_ITEM,
    EventType,
    Line,
    canonical,
    is_late,
    type_of,
)

names = st.text("abcXYZ019_-", min_size=1, max_size=8)
scalars = st.one_of(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), st.integers(-9, 9), st.booleans())


def test_a_line_has_exactly_the_columns_of_the_log():
    fields = {field.name for field in msgspec.structs.fields(Line)} | {"day"}
    assert fields == {column.name for column in COLUMNS}


def test_the_day_is_the_utc_day_of_the_event():
    line = Line(event_id="e", type="page_view", occurred_at=3 * DAY_US - 1, received_at=0)
    assert line.day == 2


def test_every_foreign_name_leads_to_a_type_of_ours():
    assert set(OTHER_NAMES.values()) <= set(EventType)
    assert set(EventType) >= WITH_ITEM
    assert not set(OTHER_NAMES) & set(EventType)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("item_view", "item_view"),
        ("Order Completed", "purchase"),
        ("select_item", "item_click"),
        ("transaction", "purchase"),
        ("view", "item_view"),
        ("dance", None),
        ("", None),
    ],
)
def test_names_of_segment_ga4_and_shops_are_understood(name, ours):
    assert type_of(name) == ours


def test_an_event_is_late_after_exactly_a_day():
    assert not is_late(0, LATE_AFTER_US)
    assert is_late(0, LATE_AFTER_US + 1)


def test_properties_become_flat_sorted_compact_json():
    assert canonical({"b": 1, "a": {"z": True, "y": None}, "c": ["x", 2]}) == '{"a.z":true,"b":1,"c":"x,2"}'


@given(st.dictionaries(names, scalars, max_size=5))
def test_canonical_text_does_not_depend_on_the_order_of_names(properties):
    text = canonical(properties)
    assert canonical(dict(reversed(properties.items()))) == text
    assert json.loads(text) == properties
    assert canonical(json.loads(text)) == text


@pytest.mark.parametrize(
    ("properties", "pointer"),
    [
        ({"a b": 1}, "/properties"),
        ({"": 1}, "/properties"),
        ({"x" * 65: 1}, "/properties"),
        ({"a": float("nan")}, "/properties/a"),
        ({"a": {"b": float("inf")}}, "/properties/a.b"),
        ({"a": [float("nan")]}, "/properties/a"),
        ({"a": [[1]]}, "/properties/a"),
        ({"a": [{"b": 1}]}, "/properties/a"),
        ({"a": object()}, "/properties/a"),
        ({"a": "\ud800"}, "/properties"),
        ({"a": "x" * MAX_PROPERTIES_BYTES}, "/properties"),
    ],
)
def test_a_property_that_cannot_be_kept_is_refused_with_its_pointer(properties, pointer):
    with pytest.raises(InvalidEvent) as caught:
        canonical(properties)
    assert caught.value.pointer == pointer


def test_depth_does_not_exhaust_the_stack():
    deep: object = 1
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(InvalidEvent):
        canonical({"a": deep})
    listed: list[object] = []
    for _ in range(100_000):
        listed = [listed]
    with pytest.raises(InvalidEvent):
        canonical({"a": listed})
