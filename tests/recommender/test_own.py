"""What the customer comes back to, and which part of their purchases are repeats. Days are given as ages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import DAY_US
from recommender.contract import Query
from recommender.retrievers.own import OwnFrequent, repeat_share
from tests.recommender.small import small_engine

NOW = 20_000 * DAY_US
ONES = [1.0] * 6
EVEN_PRIOR = np.array([1, 1], np.float32)


def query_of_purchases(*purchases: tuple[int, int], lines: int = 1) -> Query:
    """Purchases as (item, age in days), oldest first."""
    return Query(
        now=NOW,
        bought_idx=np.array([item for item, _ in purchases], np.int32),
        bought_day=np.array([NOW // DAY_US - age for _, age in purchases], np.int32),
        bought_n=np.full(len(purchases), lines, np.int32),
    )


def frequent(half_life_days: float, lift: list[float]) -> OwnFrequent:
    arrays = {
        "frequent.params": np.array([half_life_days, *ONES], np.float32),
        "frequent.lift": np.array(lift, np.float32),
    }
    return OwnFrequent(arrays, small_engine().items)


def test_a_day_counts_once_however_many_lines_its_order_had() -> None:
    one, many = (frequent(10, ONES).retrieve(query_of_purchases((3, 20), (3, 10), lines=n), 9) for n in (1, 5))
    assert one.score.tolist() == many.score.tolist() == pytest.approx([1 / 4 + 1 / 2])


def test_of_equal_counts_the_item_that_more_people_like_comes_first() -> None:
    found = frequent(10, [0.5, 0.9]).retrieve(query_of_purchases((0, 10), (1, 10)), 9)
    assert found.item_idx.tolist() == [1, 0]
    assert found.score.tolist() == pytest.approx([0.45, 0.25])


def test_the_repeat_share_leaves_out_the_first_day_and_leans_on_the_prior() -> None:
    # After the first day: item 0 twice again, item 2 for the first time.
    query = query_of_purchases((0, 30), (1, 30), (0, 20), (0, 10), (2, 10))
    assert repeat_share(query, np.array([1, 3], np.float32)) == pytest.approx((1 + 2) / (4 + 3))


def test_of_somebody_unknown_the_repeat_share_is_that_of_all() -> None:
    assert repeat_share(Query(now=NOW), np.array([1, 3], np.float32)) == 0.25
    assert repeat_share(query_of_purchases((0, 3), (1, 3)), np.array([1, 3], np.float32)) == 0.25


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), unique=True))
def test_the_repeat_share_lies_between_none_and_all(purchases) -> None:
    oldest_first = sorted(purchases, key=lambda one: -one[1])
    assert 0 < repeat_share(query_of_purchases(*oldest_first), EVEN_PRIOR) < 1
