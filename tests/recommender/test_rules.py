from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Item
from features.events import DAY_US
from features.ids import key64
from recommender.overlay import NO_OVERLAY, CatalogOverlay
from recommender.query import query_of
from recommender.rules import Rules, held_back
from recommender.slate import SlateRequest
from tests.recommender.small import CATALOG, JOURNEY, NOW, after, line, small_engine, state_of

ITEMS = small_engine().items
EVERYTHING = np.arange(len(ITEMS), dtype=np.int32)
EMPTY = JOURNEY.schema.empty()


def held(state, *, overlay=NO_OVERLAY, candidates=EVERYTHING, rules=None, cart=()) -> dict[str, str]:
    request = SlateRequest(cart=cart)
    query = query_of(state, request, ITEMS, NOW, "awareness")
    found = held_back(query, candidates, request, ITEMS, overlay, rules or Rules())
    return {ITEMS.item_id(row): why for row, why in found.items() if ITEMS.item_id(row) != "kite"}


def at(days: float, what: str, item: str):
    return line("x", what, item, NOW - int(days * DAY_US))


def test_what_is_unavailable_is_held_back() -> None:
    query = query_of(EMPTY, SlateRequest(), ITEMS, NOW, "awareness")
    found = held_back(query, EVERYTHING, SlateRequest(), ITEMS, NO_OVERLAY, Rules())
    assert {ITEMS.item_id(row): why for row, why in found.items()} == {"kite": "unavailable"}


def test_what_was_bought_is_held_back_for_its_days_and_no_longer() -> None:
    assert held(state_of(at(13, "purchase", "cup"))) == {"cup": "just_bought"}
    assert held(state_of(at(14, "purchase", "cup"))) == {}
    assert held(state_of(at(2, "purchase", "cup")), rules=Rules(bought_days=2)) == {}


def test_content_is_not_offered_again_for_some_time_after_it_was_read() -> None:
    assert held(state_of(at(364, "content_read", "brewing"))) == {"brewing": "already_read"}
    assert held(state_of(at(365, "content_read", "brewing"))) == {}
    assert held(state_of(at(1, "item_view", "brewing"))) == {}
    assert held(state_of(at(1, "content_read", "kettle"))) == {}


def test_what_lies_in_the_cart_is_held_back() -> None:
    assert held(after(("cart_add", "tray"))) == {"tray": "in_cart"}


def test_what_was_taken_out_of_the_cart_again_is_not() -> None:
    assert held(after(("cart_add", "tray"), ("cart_remove", "tray"))) == {}
    assert held(after(("cart_add", "tray"), ("cart_remove", "tray"), ("cart_add", "tray"))) == {"tray": "in_cart"}


def test_looking_at_what_lies_in_the_cart_leaves_it_there() -> None:
    assert held(after(("cart_add", "tray"), ("item_view", "tray"))) == {"tray": "in_cart"}


def test_a_cart_that_was_left_for_days_is_forgotten() -> None:
    assert held(state_of(at(2.9, "cart_add", "tray"))) == {"tray": "in_cart"}
    assert held(state_of(at(3, "cart_add", "tray"))) == {}


def test_a_purchase_says_more_than_the_cart_it_came_from() -> None:
    assert held(after(("cart_add", "tray"), ("purchase", "tray"))) == {"tray": "just_bought"}


def test_the_callers_cart_counts_too() -> None:
    assert held(EMPTY, cart=("ball", "unheard-of")) == {"ball": "in_cart"}


def test_only_candidates_are_held_back() -> None:
    rows = EVERYTHING[ITEMS.item_key == key64("cup")]
    state = after(("cart_add", "tray"), ("purchase", "cup"))
    assert held(state, candidates=rows) == {"cup": "just_bought"}


def test_an_overlay_takes_items_away_and_brings_them_back() -> None:
    overlay = CatalogOverlay().with_item(Item(item_id="cup", available=False)).with_item(Item(item_id="kite"))
    query = query_of(EMPTY, SlateRequest(), ITEMS, NOW, "awareness")
    found = held_back(query, EVERYTHING, SlateRequest(), ITEMS, overlay, Rules())
    assert {ITEMS.item_id(row): why for row, why in found.items()} == {"cup": "unavailable"}


def test_unavailable_is_said_before_anything_else() -> None:
    overlay = CatalogOverlay().with_item(Item(item_id="cup", available=False))
    assert held(after(("purchase", "cup")), overlay=overlay) == {"cup": "unavailable"}


def test_items_that_the_bundle_does_not_know_stay_out_of_it() -> None:
    assert held(EMPTY, overlay=CatalogOverlay().with_item(Item(item_id="new", available=False))) == {}


def test_an_overlay_is_a_value() -> None:
    first = CatalogOverlay()
    second = first.with_item(Item(item_id="cup", title="Big cup"))
    third = second.with_item(Item(item_id="cup"))
    key = key64("cup")
    assert (len(first.items), len(second.items), len(third.items)) == (0, 1, 1)
    assert [overlay.title(key, "Tea cup") for overlay in (first, second, third)] == ["Tea cup", "Big cup", ""]


class CountedLookups(Mapping):
    """A whole catalogue of changes that may be looked up, and never walked through."""

    def __init__(self) -> None:
        self.asked = []

    def __getitem__(self, key):
        self.asked.append(key)
        raise KeyError(key)

    def __len__(self) -> int:
        return 20_000

    def __iter__(self):
        raise AssertionError("the overlay was walked through")


def test_a_large_overlay_is_asked_about_the_candidates_alone() -> None:
    changes = CountedLookups()
    assert held(EMPTY, overlay=CatalogOverlay(changes), candidates=EVERYTHING[:3]) == {}
    assert set(changes.asked) == set(ITEMS.item_key[:3].tolist())


names = st.sampled_from([item.item_id for item in CATALOG])
deeds = st.lists(st.tuples(st.sampled_from(["cart_add", "cart_remove", "purchase", "item_view"]), names), max_size=8)
changed = st.dictionaries(names, st.booleans(), max_size=5)


@given(deeds, changed, st.sets(names))
def test_each_held_item_is_a_candidate_with_a_reason_that_holds(events, changes, candidates) -> None:
    overlay = CatalogOverlay({key64(name): Item(item_id=name, available=on) for name, on in changes.items()})
    keys = np.array([key64(name) for name in candidates], np.int64)
    state = after(*events)
    query = query_of(state, SlateRequest(), ITEMS, NOW, "awareness")
    found = held_back(query, ITEMS.rows_of(keys), SlateRequest(), ITEMS, overlay, Rules())
    why = {ITEMS.item_id(row): reason for row, reason in found.items()}
    assert set(why) <= candidates
    bought = {item for what, item in events if what == "purchase"}
    for name in candidates:
        in_cart = [what == "cart_add" for what, item in events if item == name and what != "item_view"]
        if not changes.get(name, name != "kite"):
            assert why[name] == "unavailable"
        elif name in bought:
            assert why[name] == "just_bought"
        else:
            assert why.get(name) == ("in_cart" if in_cart and in_cart[-1] else None)
