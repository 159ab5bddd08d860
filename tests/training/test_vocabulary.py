from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Item
from features.events import canonical
from features.ids import key64
from recommender.items import KINDS, Items
from tests.recommender.small import CATALOG, HISTORY, NOW, history, line, material_of, touches_of
from training.vocabulary import vocabulary_of

CUT = 1_000
NO_TOUCHES = touches_of([], CUT)


def known(catalog, seen, touches=NO_TOUCHES) -> dict[str, str]:
    """Title of every item of the vocabulary."""
    items = Items(vocabulary_of(catalog, seen, touches).arrays)
    return {items.item_id(row): items.title(row) for row in range(len(items))}


def test_items_first_seen_after_the_cut_off_are_not_known() -> None:
    catalog = [Item(item_id="old"), Item(item_id="new"), Item(item_id="unseen")]
    assert set(known(catalog, {"old": CUT - 1, "new": CUT})) == {"old", "unseen"}


def test_an_item_published_before_the_cut_off_is_known_though_first_seen_after_it() -> None:
    catalog = [Item(item_id="out", published_at=CUT - 1), Item(item_id="planned", published_at=CUT)]
    assert set(known(catalog, {"out": CUT + 5, "planned": CUT + 5})) == {"out"}
    assert set(known(catalog, {})) == {"out"}


def test_an_item_seen_before_it_was_published_keeps_what_it_says_of_itself() -> None:
    catalog = [Item(item_id="early", title="Early", published_at=CUT + 1)]
    assert known(catalog, {"early": CUT - 1}) == {"early": "Early"}


def test_items_without_a_catalogue_row_are_known_from_the_log() -> None:
    assert known([], {"logged": CUT - 1, "later": CUT}) == {"logged": ""}


def test_an_item_that_was_only_read_and_liked_is_content() -> None:
    lines = [
        line("x", "content_read", "post", 1),
        line("x", "like", "post", 2),
        line("x", "content_read", "both", 3),
        line("x", "item_view", "both", 4),
        line("x", "item_view", "thing", 5),
    ]
    vocabulary = vocabulary_of([], dict.fromkeys(("post", "both", "thing", "shown"), 1), touches_of(lines, CUT))
    items = Items(vocabulary.arrays)
    kinds = {items.item_id(row): KINDS[items.kind[row]] for row in range(len(items))}
    assert kinds == {"post": "content", "both": "product", "thing": "product", "shown": "product"}


def test_the_catalogue_says_the_kind_where_it_has_the_item() -> None:
    touches = touches_of([line("x", "content_read", "a", 1)], CUT)
    vocabulary = vocabulary_of([Item(item_id="a", kind="action")], {"a": 1}, touches)
    assert [KINDS[kind] for kind in vocabulary.arrays["items.kind"]] == ["action"]


def test_stages_are_read_from_the_attributes() -> None:
    said = ["transaction", "awareness, retention", "transaction,transaction", "unheard-of", ""]
    catalog = [Item(item_id=f"i{n}", attributes=canonical({"stages": text})) for n, text in enumerate(said)]
    arrays = vocabulary_of([*catalog, Item(item_id="i5")], {}, NO_TOUCHES).arrays
    bits = dict(zip(arrays["items.item_key"].tolist(), arrays["items.stages"].tolist(), strict=True))
    assert [bits[key64(f"i{n}")] for n in range(6)] == [4, 9, 4, 0, 0, 0]


def test_every_array_has_its_declared_form_even_without_items() -> None:
    for catalog in ((), CATALOG):
        arrays = vocabulary_of(catalog, {}, NO_TOUCHES).arrays
        assert {name: (a.dtype.name, a.ndim) for name, a in arrays.items()} == dict(Items.arrays)


def test_texts_lie_in_the_order_of_the_rows() -> None:
    vocabulary = vocabulary_of(CATALOG, {}, NO_TOUCHES)
    titles = {key64(item.item_id): item.title for item in CATALOG}
    assert [texts[0] for texts in vocabulary.texts] == [titles[key] for key in vocabulary.item_keys.tolist()]


@given(st.permutations(CATALOG), st.sets(st.sampled_from([item.item_id for item in CATALOG])))
def test_the_order_of_the_catalogue_does_not_matter(catalog, seen) -> None:
    first = dict.fromkeys(sorted(seen), 1)
    a, b = (vocabulary_of(rows, first, NO_TOUCHES) for rows in (CATALOG, catalog))
    assert a.texts == b.texts
    assert all(np.array_equal(a.arrays[name], b.arrays[name]) for name in Items.arrays)


def test_material_speaks_of_known_items_only() -> None:
    day = NOW - 18 * 86_400_000_000
    lines = [one for one in history() if one.occurred_at < day]
    material = material_of(lines, [], day)
    assert set(known([], {one.item_id: one.occurred_at for one in lines}, touches_of(lines, day))) == {
        item for customer in ("ayla", "bora") for _, item in HISTORY[customer]
    }
    assert material.touches.item_keys is material.vocabulary.item_keys
