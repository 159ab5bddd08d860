from __future__ import annotations

import ibis
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.events import DAY_US
from features.ids import key64
from recommender.contract import TOUCHES
from tests.features.histories import N_DAYS, START_US, histories
from tests.recommender.small import history, line, touches_of
from tests.training.engines import CUSTOMERS, log_table
from training.touches import TOUCH_OF_TYPE, read_touches

END = START_US + N_DAYS * DAY_US
COLUMNS = ("customer_idx", "item_idx", "at", "touch", "item_keys")


@pytest.fixture(scope="module")
def connection():
    return ibis.duckdb.connect()


def read(connection, lines, until=END):
    return read_touches(connection.create_table("lines", log_table(lines), overwrite=True), until)


def assert_same(a, b) -> None:
    assert a.customer_ids == b.customer_ids
    for name in COLUMNS:
        assert getattr(a, name).tolist() == getattr(b, name).tolist(), name


@settings(max_examples=25)
@given(lines=histories(customers=(*CUSTOMERS, None), max_size=25))
def test_the_log_is_read_as_the_obvious_way_reads_it(connection, lines) -> None:
    assert_same(read(connection, lines), touches_of(lines, END))


def test_every_event_type_of_a_touch_has_its_column() -> None:
    named = {event_type: TOUCHES[column] for event_type, column in TOUCH_OF_TYPE.items()}
    assert named["item_view"] == named["item_click"] == "views"
    assert named["content_read"] == "reads"
    assert named["wishlist"] == "likes"
    assert (named["cart_add"], named["cart_remove"], named["purchase"]) == ("carts", "uncarts", "buys")
    assert not set(named) & {"impression", "page_view", "refund", "slate_click"}


def test_late_lines_and_lines_without_an_item_are_no_touches(connection) -> None:
    lines = [
        line("anna", "item_view", "a", START_US),
        line("anna", "item_view", "b", START_US, late=True),
        line("anna", "item_view", None, START_US),
        line("anna", "impression", "c", START_US),
    ]
    touches = read(connection, lines)
    assert touches.item_keys.tolist() == [key64("a")]
    assert len(touches) == 1


def test_what_nobody_did_comes_first_and_belongs_to_no_customer(connection) -> None:
    lines = [line("anna", "item_view", "a", START_US), line(None, "share", "b", START_US + 5)]
    touches = read(connection, lines)
    assert touches.customer_idx.tolist() == [-1, 0]
    assert touches.of_customers().at.tolist() == [START_US]
    assert touches.customer_ids == ("anna",)


def test_an_empty_log_has_no_touches(connection) -> None:
    touches = read(connection, [])
    assert len(touches) == len(touches.item_keys) == len(touches.customer_ids) == 0


def test_the_latest_declared_locale_stands(connection) -> None:
    lines = [
        line("anna", "identify", None, START_US + 2, properties='{"locale":"tr-TR"}'),
        line("anna", "identify", None, START_US + 1, properties='{"locale":"en"}'),
        line("anna", "identify", None, START_US + 3, properties='{"segment":"vip"}'),
        line("anna", "item_view", "a", START_US),
        line("bora", "item_view", "a", START_US),
        line("cem", "identify", None, START_US, properties='{"locale":"ar"}'),
    ]
    touches = read(connection, lines)
    assert touches.customer_ids == ("anna", "bora")
    assert touches.locales == ("tr-TR", None)


def test_earlier_is_strictly_before() -> None:
    touches = touches_of(history())
    cut = int(np.sort(touches.at)[7])
    before = touches.before(cut)
    assert before.until == cut
    assert len(before) == (touches.at < cut).sum()
    assert before.at.max() < cut
    assert touches.before(touches.until + 1).until == touches.until


cuts = st.integers(START_US, END)


@given(histories(customers=(*CUSTOMERS, None)), cuts, cuts)
def test_cutting_twice_is_cutting_at_the_earlier_moment(lines, a, b) -> None:
    touches = touches_of(lines, END)
    assert_same(touches.before(a).before(b), touches.before(min(a, b)))


def test_items_become_rows_of_another_vocabulary_and_unknown_ones_are_dropped() -> None:
    touches = touches_of([line("anna", "item_view", item, START_US + n) for n, item in enumerate("abca")], END)
    keys = np.sort(np.array([key64("a"), key64("c"), key64("z")], np.int64))
    moved = touches.in_rows_of(keys)
    assert moved.item_keys[moved.item_idx].tolist() == [key64(item) for item in "aca"]
    assert moved.at.tolist() == [START_US, START_US + 2, START_US + 3]
    assert len(touches.in_rows_of(np.empty(0, np.int64))) == 0


@given(histories(customers=(*CUSTOMERS, None)), st.sets(st.sampled_from("abcd")))
def test_in_other_rows_the_order_and_everything_else_stay(lines, known) -> None:
    touches = touches_of(lines, END)
    keys = np.array(sorted(key64(item) for item in known), np.int64)
    moved = touches.in_rows_of(keys)
    keep = np.isin(touches.item_keys[touches.item_idx], keys)
    assert moved.at.tolist() == touches.at[keep].tolist()
    assert moved.item_keys[moved.item_idx].tolist() == touches.item_keys[touches.item_idx[keep]].tolist()
    order = np.lexsort((moved.touch, moved.item_idx, moved.at, moved.customer_idx))
    assert order.tolist() == list(range(len(moved)))
