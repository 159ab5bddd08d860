from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import KINDS, Item, check_item
from features.errors import InputError, InvalidCatalog, InvalidId

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=5,
)
fields = st.sampled_from(
    [
        *("item_id", "kind", "title", "text", "category", "price", "price_minor", "currency", "available", "locale"),
        *("published_at", "attributes", "more"),
    ]
)


def test_an_id_is_enough():
    assert check_item({"item_id": "a"}) == Item(item_id="a")
    assert Item(item_id="a").kind == "product"
    assert Item(item_id="a").available is True


def test_a_full_row_is_read():
    row = {
        "item_id": "guide-1",
        "kind": "content",
        "title": "Çay demleme",
        "text": "كيف",
        "category": "guides/tea",
        "price": "12.345",
        "currency": "KWD",
        "available": False,
        "locale": "tr_TR",
        "published_at": "2026-03-01T12:00:00Z",
        "attributes": {"brand": {"name": "x"}, "size": 3},
    }
    assert check_item(row) == Item(
        item_id="guide-1",
        kind="content",
        title="Çay demleme",
        text="كيف",
        category="guides/tea",
        price_minor=12345,
        currency="KWD",
        available=False,
        locale="tr-TR",
        published_at=1_772_366_400_000_000,
        attributes='{"brand.name":"x","size":3}',
    )


def test_null_counts_as_absent():
    assert check_item({"item_id": "a", "kind": None, "price": None, "available": None}) == Item(item_id="a")


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ({}, "/item_id"),
        ({"kind": "toy"}, "/kind"),
        ({"kind": ["product"]}, "/kind"),
        ({"title": 5}, "/title"),
        ({"title": "x" * 1025}, "/title"),
        ({"title": "\ud800"}, "/title"),
        ({"text": "x" * 65_537}, "/text"),
        ({"category": "a//b"}, "/category"),
        ({"category": ""}, "/category"),
        ({"price": float("nan")}, "/price"),
        ({"price": -1}, "/price"),
        ({"price": True}, "/price"),
        ({"price": 1, "price_minor": 100}, "/price"),
        ({"price_minor": 2**63}, "/price_minor"),
        ({"price_minor": 1.5}, "/price_minor"),
        ({"currency": "eur"}, "/currency"),
        ({"available": 1}, "/available"),
        ({"locale": "t"}, "/locale"),
        ({"locale": "turkish!"}, "/locale"),
        ({"locale": "tr-"}, "/locale"),
        ({"published_at": "yesterday"}, "/published_at"),
        ({"attributes": []}, "/attributes"),
        ({"attributes": "{"}, "/attributes"),
        ({"attributes": {"a": [[1]]}}, "/attributes"),
        ({"colour": "red"}, "/colour"),
        ({"a/b~c": "red"}, "/a~1b~0c"),
        ({"\ud800": 1}, "/\\ud800"),
    ],
)
def test_a_field_that_cannot_be_used_is_named_by_its_pointer(row, pointer):
    with pytest.raises(InvalidCatalog) as caught:
        check_item({"item_id": "a"} | row if row else row)
    assert caught.value.pointer == pointer
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("item_id", [5, "", "x" * 129, "a\nb"])
def test_an_item_id_is_an_id(item_id):
    with pytest.raises(InvalidId) as caught:
        check_item({"item_id": item_id})
    assert caught.value.pointer == "/item_id"


@pytest.mark.parametrize("row", [None, [], "x", 5])
def test_a_row_is_an_object(row):
    with pytest.raises(InvalidCatalog):
        check_item(row)


@given(st.dictionaries(fields, json_values, max_size=6))
def test_any_json_object_is_an_item_or_a_clear_error(row):
    try:
        item = check_item(row)
    except InputError as error:
        error.pointer.encode("ascii")
    else:
        assert item.kind in KINDS
