"""What is due again, worked by hand. Days are given as ages."""

from __future__ import annotations

import numpy as np
import pytest

from recommender.kernels_repeat import owned
from recommender.retrievers.repeat import NEVER, Repeat, hazard_terms
from tests.recommender.small import small_engine
from tests.recommender.test_own import query_of_purchases


def repeat(hazard: list[float], lift: list[float], gap_days: float = 20) -> Repeat:
    """A source whose items all have one interval."""
    n = len(lift)
    arrays = {
        "repeat.gap_days": np.full(n, gap_days, np.float32),
        "repeat.lift": np.array(lift, np.float32),
        "repeat.hazard": np.array(hazard, np.float32),
    }
    return Repeat(arrays, small_engine().items)


def test_what_is_owned_is_counted_by_days() -> None:
    item_idx, day = np.array([7, 2, 7, 7, 2], np.int32), np.array([1, 1, 1, 5, 9], np.int32)
    item, n_days, first, last = owned(item_idx, day)
    assert item.tolist() == [2, 7]
    assert n_days.tolist() == [2, 2]
    assert (first.tolist(), last.tolist()) == ([1, 1], [9, 5])


def test_the_terms_are_times_age_and_age_over_the_own_interval() -> None:
    # Bought three times over 28 days: with two usual intervals of 10, the own one is (20 + 28) / 4 = 12 days.
    columns = (np.array([x], np.int32) for x in (3, 100, 128))
    terms = hazard_terms(*columns, 153, np.array([10], np.float32))
    due = np.log(26 / 13)
    assert terms.tolist() == [pytest.approx([np.log(3), np.log(26), due, due**2], rel=1e-6)]


def test_the_chance_is_the_logistic_function_of_terms_and_lift() -> None:
    found = repeat([2, 0, 0, 0], [0, -1]).retrieve(query_of_purchases((0, 9), (1, 9), (1, 2)), 9)
    # Item 0 was bought once: sigmoid(0). Item 1 twice: sigmoid(2 log 2 - 1).
    assert found.item_idx.tolist() == [1, 0]
    assert found.score.tolist() == pytest.approx([1 / (1 + np.exp(1 - 2 * np.log(2))), 0.5])


def test_of_items_bought_once_the_one_whose_time_has_come_is_first() -> None:
    peaked = repeat([0, 0, 0, -1], [0, 0, 0])
    found = peaked.retrieve(query_of_purchases((0, 90), (1, 20), (2, 1)), 9)
    assert found.item_idx.tolist() == [1, 0, 2]


def test_what_nobody_buys_twice_is_not_proposed() -> None:
    assert repeat([1, 0, 0, 0], [0, NEVER]).retrieve(query_of_purchases((0, 9), (1, 9)), 9).item_idx.tolist() == [0]
