"""What the customer comes back to. Days are given as ages."""

from __future__ import annotations

import numpy as np
import pytest

from features.events import DAY_US
from recommender.contract import Query
from recommender.retrievers.own import OwnFrequent
from tests.recommender.small import small_engine

NOW = 20_000 * DAY_US
ONES = [1.0] * 6


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
