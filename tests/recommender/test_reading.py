"""Content is real: what a customer reads changes what they are offered, products included."""

from __future__ import annotations

from recommender.slate import SlateRequest
from tests.recommender.small import JOURNEY, NOW, after, small_engine


def slate_of(*events, limit=8):
    state = after(*events) if events else JOURNEY.schema.empty()
    return small_engine().decide(state, SlateRequest(limit=limit), NOW)


def products(slate) -> list[str]:
    return [item.item_id for item in slate.items if item.kind == "product"]


def test_what_was_read_changes_the_products_of_a_slate_that_mixes_kinds() -> None:
    tea, garden = slate_of(("content_read", "brewing")), slate_of(("content_read", "planting"))
    assert {item.kind for item in tea.items} == {"product", "content", "action"}
    assert products(tea) != products(garden)
    assert products(tea) != products(slate_of())


def test_what_readers_went_on_to_choose_is_offered_with_its_reason() -> None:
    codes = {
        item.item_id: {reason.code for reason in item.reasons} for item in slate_of(("content_read", "descaling")).items
    }
    assert "read_bought" in codes["teapot"]


def test_what_was_read_is_not_offered_again_and_the_slate_says_why() -> None:
    slate = slate_of(("content_read", "brewing"), limit=14)
    assert "brewing" not in {item.item_id for item in slate.items}
    assert ("brewing", "already_read") in slate.suppressed
