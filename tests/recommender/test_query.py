from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.events import DAY_US
from recommender.contract import TOUCHES
from recommender.query import SESSION_GAP_US, is_live, query_of, rows_of_ids
from recommender.slate import SlateRequest
from tests.recommender.small import CATALOG, HOUR_US, JOURNEY, NOW, after, line, small_engine, state_of

ITEMS = small_engine().items
EMPTY = JOURNEY.schema.empty()


def asked(state, now=NOW, stage="awareness", **request):
    return query_of(state, SlateRequest(**request), ITEMS, now, stage)


def ids(rows) -> list[str]:
    return [ITEMS.item_id(int(row)) for row in rows]


def allowed(query) -> set[str]:
    return set(ids(np.flatnonzero(query.is_allowed)))


def test_touches_come_oldest_first_with_their_counts() -> None:
    query = asked(after(("item_view", "cup"), ("cart_add", "cup"), ("content_read", "brewing")))
    assert ids(query.touch_idx) == ["cup", "cup", "brewing"]
    assert np.all(np.diff(query.touch_at) == 60_000_000)
    named = [{name for name, n in zip(TOUCHES, row, strict=True) if n} for row in query.touch_counts.tolist()]
    assert named == [{"views"}, {"carts"}, {"reads"}]


def test_purchases_come_with_their_day_and_number() -> None:
    state = state_of(
        line("x", "purchase", "cup", NOW - 3 * DAY_US),
        line("x", "purchase", "cup", NOW - 3 * DAY_US + 1),
        line("x", "purchase", "tray", NOW - DAY_US),
    )
    query = asked(state)
    assert ids(query.bought_idx) == ["cup", "tray"]
    assert query.bought_day.tolist() == [NOW // DAY_US - 3, NOW // DAY_US - 1]
    assert query.bought_n.tolist() == [2, 1]


def test_items_that_the_bundle_does_not_know_are_left_out() -> None:
    query = asked(after(("item_view", "cup"), ("item_view", "unheard-of"), ("purchase", "unheard-of")))
    assert ids(query.touch_idx) == ["cup"]
    assert len(query.touch_at) == len(query.touch_counts) == 1
    assert not len(query.bought_idx)


def test_what_happens_at_the_moment_itself_is_not_known_yet() -> None:
    state = state_of(line("x", "item_view", "cup", NOW - 1), line("x", "item_view", "tray", NOW))
    assert ids(asked(state).touch_idx) == ["cup"]
    assert ids(asked(state, NOW + 1).touch_idx) == ["cup", "tray"]


def test_an_unknown_customer_makes_a_cold_query() -> None:
    assert asked(EMPTY).is_cold
    assert not asked(EMPTY, anchors=("cup",)).is_cold
    assert not asked(EMPTY, text="tea").is_cold
    assert not asked(after(("item_view", "cup"))).is_cold


def test_anchors_keep_their_order_and_are_taken_once() -> None:
    assert ids(asked(EMPTY, anchors=("tray", "cup", "nowhere", "tray")).anchor_idx) == ["tray", "cup"]
    assert rows_of_ids((), ITEMS).tolist() == []


def test_kinds_are_put_in_their_own_order() -> None:
    query = asked(EMPTY, kinds=("content", "product"))
    assert query.kinds == ("product", "content")
    assert not allowed(query) & {"book-a-call", "write-review"}


def test_everything_is_allowed_by_none_where_no_rule_leaves_anything_out() -> None:
    assert asked(EMPTY, apply_rules=False).is_allowed is None


def test_candidates_less_what_is_excluded_are_allowed() -> None:
    query = asked(EMPTY, candidates=("cup", "tray", "nowhere"), exclude=("tray",))
    assert allowed(query) == {"cup"}


def test_filters_hold_together() -> None:
    query = asked(EMPTY, kinds=("product",), categories=("home",), candidates=("cup", "ball", "brewing"))
    assert allowed(query) == {"cup"}


def test_unseen_only_leaves_out_what_was_touched_or_bought() -> None:
    state = state_of(line("x", "purchase", "kettle", NOW - DAY_US), line("x", "item_view", "cup", NOW - 1))
    everything = {item.item_id for item in CATALOG}
    query = asked(state, unseen_only=True, apply_rules=False)
    assert allowed(query) == everything - {"kettle", "cup"}


def test_the_requests_locale_stands_before_the_declared_one() -> None:
    state = state_of(line("x", "identify", None, NOW - 1, properties='{"locale":"ar-EG"}'))
    assert asked(state).locale == "ar-EG"
    assert "çaydanlık" not in allowed(asked(state))
    assert asked(state, locale="tr").locale == "tr"
    assert "çaydanlık" in allowed(asked(state, locale="tr"))


def test_items_of_another_stage_are_left_out_only_where_rules_apply() -> None:
    assert "write-review" not in allowed(asked(EMPTY))
    assert "write-review" in allowed(asked(EMPTY, stage="transaction"))
    assert "write-review" in allowed(asked(EMPTY, apply_rules=False, exclude=("cup",)))


def test_a_session_is_live_for_half_an_hour() -> None:
    state = state_of(line("x", "item_view", "cup", NOW))
    assert is_live(state, NOW + SESSION_GAP_US)
    assert not is_live(state, NOW + SESSION_GAP_US + 1)
    assert not is_live(EMPTY, NOW)


moments = st.integers(-HOUR_US, HOUR_US).map(lambda offset: NOW + offset)
seen = st.lists(st.tuples(st.sampled_from(["item_view", "cart_add"]), st.sampled_from(["cup", "tray", "x"]), moments))


@given(seen)
def test_a_query_holds_the_touches_before_its_moment_in_order(events) -> None:
    query = asked(state_of(*(line("x", *event) for event in events)))
    wanted = sorted({(at, item) for _, item, at in events if at < NOW and item != "x"})
    assert sorted(zip(query.touch_at.tolist(), ids(query.touch_idx), strict=True)) == wanted
    assert query.touch_at.tolist() == sorted(query.touch_at.tolist())
