"""What a history weighs. Times are days before the cut-off."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.contract import Query
from recommender.retrievers.history import History, item_weights
from tests.training.test_fitting import UNTIL, query_of_views

DAY_US = 86_400_000_000
EQUAL = np.ones(6, np.float32)


def test_ages_run_back_from_the_last_touch_whatever_the_clock_says() -> None:
    for pause in (0, 1, 1000):
        item_idx, weight = item_weights(query_of_views((4, pause + 20), (4, pause + 10), (2, pause)), EQUAL, 10.0)
        assert item_idx.tolist() == [2, 4]
        assert weight.tolist() == pytest.approx([1, 1 / 2 + 1 / 4])


def test_orders_older_than_the_kept_touches_count_from_the_long_memory() -> None:
    views = query_of_views((0, 5))
    day = UNTIL // DAY_US
    bought = {
        "bought_idx": np.array([1, 0], np.int32),
        "bought_day": np.array([day - 15, day - 5], np.int32),
        "bought_n": np.array([2, 1], np.int32),
    }
    query = Query(views.now, views.touch_idx, views.touch_at, views.touch_counts, **bought)
    item_idx, weight = item_weights(query, np.array([1, 0, 0, 0, 0, 3], np.float32), 10.0)
    assert item_idx.tolist() == [0, 1]
    assert weight.tolist() == pytest.approx([1, 2 * 3 * 0.5])


def test_a_power_of_nothing_leaves_having_touched_an_item_or_not() -> None:
    query = query_of_views((0, 30), (1, 2), (1, 0))
    assert History(10.0, 0.0, EQUAL).of(query)[1].tolist() == [1, 1]
    assert History(10.0, 1.0, EQUAL).of(query)[1].tolist() == pytest.approx([1 / 8, 1 + 2**-0.2])
    assert History(10.0, 0.5, EQUAL).of(query)[1].tolist() == pytest.approx([8**-0.5, (1 + 2**-0.2) ** 0.5])


def test_an_anchor_counts_as_much_as_the_strongest_item_and_adds_to_its_own() -> None:
    views = query_of_views((3, 10), (5, 0), (5, 0))
    query = Query(views.now, views.touch_idx, views.touch_at, views.touch_counts, anchor_idx=np.array([3, 1], np.int32))
    item_idx, weight = History(10.0, 1.0, EQUAL).with_anchors(query)
    assert item_idx.tolist() == [1, 3, 5]
    assert weight.tolist() == pytest.approx([2, 2.5, 2])


def test_a_page_without_a_history_is_a_history_of_its_anchors() -> None:
    item_idx, weight = History(10.0, 1.0, EQUAL).with_anchors(Query(UNTIL, anchor_idx=np.array([7], np.int32)))
    assert (item_idx.tolist(), weight.tolist()) == ([7], [1])


def test_nobody_has_no_history() -> None:
    assert [len(column) for column in History(10.0, 0.5, EQUAL).with_anchors(Query(UNTIL))] == [0, 0]


def test_a_bundle_holds_a_history_whole() -> None:
    weights = np.array([1, 2, 3, 4, 0, 6], np.float32)
    again = History.of_array(History(14.0, 0.5, weights).to_array())
    assert again[:2] == (14.0, 0.5)
    assert again.touch_weights.tolist() == weights.tolist()
