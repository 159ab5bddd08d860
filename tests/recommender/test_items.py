from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Item
from features.ids import key64
from recommender.engine import empty_arrays
from recommender.items import Items, language_of, pack_text, unpack_text
from tests.recommender.small import CATALOG, TITLES, material_of, small_engine

ITEMS = small_engine().items
LAST_KEY, FIRST_KEY = 2**63 - 1, -(2**63)


def ids(mask) -> set[str]:
    return {ITEMS.item_id(int(row)) for row in np.flatnonzero(mask)}


def test_rows_lie_in_the_order_of_their_keys() -> None:
    assert np.all(np.diff(ITEMS.item_key) > 0)
    assert len(ITEMS) == len(CATALOG)


def test_every_row_says_its_own_id_title_and_category() -> None:
    for item in CATALOG:
        row = int(ITEMS.rows_of(np.array([key64(item.item_id)]))[0])
        assert ITEMS.item_id(row) == item.item_id
        assert ITEMS.title(row) == TITLES[item.item_id]
        assert ITEMS.category_of(row) == item.category


@given(st.lists(st.sampled_from([*ITEMS.item_key.tolist(), 0, LAST_KEY, FIRST_KEY]), max_size=20))
def test_a_key_is_found_at_its_row_or_nowhere(keys) -> None:
    rows = ITEMS.rows_of(np.array(keys, np.int64))
    known = ITEMS.item_key.tolist()
    assert rows.tolist() == [known.index(key) if key in known else -1 for key in keys]


@given(st.lists(st.text(max_size=8)))
def test_text_comes_back_from_its_bytes(values) -> None:
    assert list(unpack_text(*pack_text(values))) == values


def test_kinds_are_masked_only_where_that_leaves_something_out() -> None:
    assert ITEMS.of_kinds(("action", "content", "product")) is None
    assert ids(ITEMS.of_kinds(("content",))) == {"brewing", "descaling", "planting"}
    only_products = Items(material_of([], CATALOG[:3]).vocabulary.arrays)
    assert only_products.of_kinds(("product",)) is None
    assert not only_products.of_kinds(("content",)).any()


def test_a_category_holds_what_lies_at_it_or_below_it() -> None:
    assert ids(ITEMS.in_categories(("home/garden",))) == {"spade", "hose"}
    assert ids(ITEMS.in_categories(("home", "toys"))) == {
        *("kettle", "teapot", "cup", "tray", "spade", "hose", "ball", "kite", "çaydanlık")
    }
    assert not ITEMS.in_categories(("hom", "home/gard")).any()
    assert not ITEMS.in_categories(()).any()


def test_an_item_of_one_stage_is_shown_in_no_other() -> None:
    awareness, transaction = ITEMS.for_stage(1), ITEMS.for_stage(4)
    assert {"write-review"} == ids(transaction) - ids(awareness)
    assert transaction.all()
    assert Items(material_of([], CATALOG[:3]).vocabulary.arrays).for_stage(1) is None


@pytest.mark.parametrize("locale", ["tr", "tr-TR", "TR_tr"])
def test_items_of_the_customers_language_and_of_none_are_shown(locale) -> None:
    assert ITEMS.for_locale(locale).all()


def test_items_of_another_language_are_not_shown() -> None:
    assert ids(~ITEMS.for_locale("ar-EG")) == {"çaydanlık"}


def test_without_a_locale_every_language_is_shown() -> None:
    assert ITEMS.for_locale(None) is None
    assert Items(material_of([], CATALOG[:3]).vocabulary.arrays).for_locale("tr") is None


def test_what_is_not_known_is_marked_as_unknown() -> None:
    items = Items(material_of([], [Item(item_id="bare"), Item(item_id="rich", price_minor=0)]).vocabulary.arrays)
    bare, rich = items.rows_of(np.array([key64("bare"), key64("rich")])).tolist()
    assert items.price_minor[[bare, rich]].tolist() == [-1, 0]
    assert items.category_of(bare) is None
    assert items.title(bare) == ""
    assert items.is_available.all()


def test_a_catalogue_without_items_knows_no_key() -> None:
    items = Items(empty_arrays())
    assert len(items) == 0
    assert items.rows_of(np.array([1, 2])).tolist() == [-1, -1]
    assert items.in_categories(("home",)).tolist() == []


def test_the_language_is_the_first_part_of_a_locale() -> None:
    assert [language_of(name) for name in ("tr", "tr-TR", "ar_EG", "EN-gb")] == ["tr", "tr", "ar", "en"]


def test_a_customers_locale_is_matched_by_language_where_no_item_says_it_exactly() -> None:
    raw, at = pack_text(["ar", "tr"])
    items = Items({**empty_arrays(), "items.locales_bytes": raw, "items.locales_at": at})
    assert [items.locale_code(name) for name in ("tr", "tr-TR", "ar_EG", "de", None)] == [1, 1, 0, -1, -1]


def test_a_category_prefix_may_end_in_a_slash() -> None:
    name = ITEMS.categories[0]
    assert np.array_equal(ITEMS.in_categories((f"{name}/",)), ITEMS.in_categories((name,)))


def test_more_texts_than_are_kept_are_read_anew(monkeypatch) -> None:
    monkeypatch.setattr("recommender.items.MAX_KNOWN", 1)
    rows, items = np.arange(len(ITEMS))[::-1], small_engine().items
    for _ in range(3):
        assert items.texts("id", rows) == [ITEMS.item_id(int(row)) for row in rows]
        assert items.texts("title", rows[:1]) == [ITEMS.title(int(rows[0]))]
