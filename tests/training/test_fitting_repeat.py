"""Repurchase fits on cases small enough to work by hand. Items are rows; times are days before the cut-off."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from recommender.items import Items
from recommender.retrievers.repeat import NEVER, Repeat
from tests.recommender.small import small_engine
from tests.recommender.test_own import query_of_purchases
from tests.training.test_fitting import UNTIL, touches
from training.fitting.baskets import baskets_of
from training.fitting.own import FrequentParams, fit_frequent
from training.fitting.repeat import (
    RepeatParams,
    drawn,
    fit_repeat,
    gap_days,
    logit_fit,
    owned_of,
    repeat_rate,
)
from training.fitting.tifu import TifuParams, fit_tifu

NO_CATEGORY = np.full(3, -1, np.int32)
ITEMS: Items = small_engine().items


def bought(*rows: tuple[int, int, float]):
    """Purchases from (customer, item, days before the cut-off)."""
    return touches(*((customer, item, "buys", age) for customer, item, age in rows))


def test_a_basket_holds_an_item_once_a_day_and_no_ones_purchases_are_in_none() -> None:
    rows = [(0, 1, "buys", 1.2), (0, 1, "buys", 1.1), (0, 2, "views", 1.1), (-1, 1, "buys", 1.0), (0, 0, "buys", 3.5)]
    found = baskets_of(touches(*rows))
    assert [column.tolist() for column in found[:2]] == [[0, 0], [0, 1]]
    assert (found.day - UNTIL // 86_400_000_000).tolist() == [-4, -2]


def test_means_of_few_are_drawn_to_their_category_and_those_to_all() -> None:
    total, n, category = np.array([8.0, 0, 4]), np.array([2.0, 0, 2]), np.array([0, 0, -1], np.int32)
    # All: 12 / 4 = 3. The category: (8 + 2 * 3) / (2 + 2) = 3.5. Without one: that of all.
    assert drawn(total, n, category, 2.0).tolist() == pytest.approx([(8 + 7) / 4, 3.5, (4 + 6) / 4])


def test_an_interval_is_the_geometric_mean_of_the_gaps() -> None:
    baskets = baskets_of(bought((0, 0, 30), (0, 0, 28), (0, 0, 20), (1, 0, 5)))
    assert gap_days(baskets, NO_CATEGORY, 1e-9)[0] == pytest.approx(4)


def test_the_rate_is_the_share_of_customers_who_bought_again() -> None:
    owned = owned_of(baskets_of(bought((0, 0, 9), (0, 0, 5), (1, 0, 5), (2, 0, 5), (2, 1, 4))))
    assert repeat_rate(owned, NO_CATEGORY, 1e-9)[:2].tolist() == pytest.approx([1 / 3, 0], abs=1e-6)


def test_a_logistic_regression_finds_the_coefficients_that_made_the_data() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40_000, 2)) * [1, 5] + [2, -3]
    y = rng.random(len(x)) < expit(0.5 + x @ [1.0, -0.2])
    assert logit_fit(x.astype(np.float32), y, 1.0).tolist() == pytest.approx([0.5, 1.0, -0.2], abs=0.1)


def habits(period: int, n_customers: int = 150, days: int = 120) -> list[tuple[int, int, float]]:
    """Everybody buys item 0 every ``period`` days, each starting on a day of their own, item 2 often, item 1 once."""
    again = [(c, 0, age + 0.5) for c in range(n_customers) for age in range(c % period, days, period)]
    often = [(c, 2, age + 0.5) for c in range(n_customers) for age in range(c % 3, days, 3)]
    return [*again, *often, *((c, 1, 100.5 - c % 60) for c in range(n_customers))]


def test_what_is_learned_of_a_habit_is_that_its_time_comes() -> None:
    arrays = fit_repeat(bought(*habits(10)).in_rows_of(np.arange(len(ITEMS))), ITEMS, RepeatParams(horizon_days=5))
    assert arrays["repeat.gap_days"][0] == pytest.approx(10, rel=1e-2)
    assert arrays["repeat.lift"][0] > arrays["repeat.lift"][1]
    source = Repeat(arrays, ITEMS)
    due, early = (
        source.retrieve(query_of_purchases((0, age + 20), (0, age + 10), (0, age)), 1).score[0] for age in (9, 2)
    )
    assert due > early


def test_the_gate_closes_for_what_few_buy_again() -> None:
    strict = RepeatParams(horizon_days=5, min_rate=0.8)
    arrays = fit_repeat(bought(*habits(10)).in_rows_of(np.arange(len(ITEMS))), ITEMS, strict)
    assert arrays["repeat.lift"][1] == NEVER < arrays["repeat.lift"][0]


def test_without_repeats_nothing_is_due() -> None:
    once = bought(*((c, c % 3, 100.5 - c) for c in range(90))).in_rows_of(np.arange(len(ITEMS)))
    assert fit_repeat(once, ITEMS, RepeatParams()) == {}
    assert fit_repeat(touches((0, 0, "views", 1)), ITEMS, RepeatParams()) == {}
    assert fit_repeat(bought(*((c, c % 3, 0) for c in range(90))), ITEMS, RepeatParams()) == {}


def test_rows_of_baskets_are_vectors_of_customers_with_two_items_the_latest_first() -> None:
    arrays = fit_tifu(bought((0, 0, 9), (0, 1, 9), (1, 2, 5), (2, 1, 3), (2, 2, 2)), 3, TifuParams(group_size=2))
    assert arrays["tifu.rows.indptr"].tolist() == [0, 2, 4]
    assert sorted(arrays["tifu.rows.item_idx"][:2].tolist()) == [1, 2]
    assert arrays["tifu.rows.weight"].tolist() == pytest.approx([0.5**0.5] * 4)
    assert arrays["tifu.indptr"].tolist() == [0, 1, 3, 4]
    assert arrays["tifu.row"].tolist() == [1, 0, 1, 0]


def test_rows_do_not_say_in_which_order_customers_are_known() -> None:
    rows = [(0, 0, 9), (0, 1, 8), (1, 2, 5), (1, 0, 4), (2, 1, 9), (2, 2, 8)]
    arrays, renamed = (
        fit_tifu(bought(*((name[c], i, age) for c, i, age in rows)), 3, TifuParams()) for name in ([0, 1, 2], [2, 1, 0])
    )
    assert all(np.array_equal(arrays[name], renamed[name]) for name in arrays)


def test_baskets_need_somebody_who_bought_two_items() -> None:
    assert fit_tifu(bought((0, 0, 9), (1, 1, 9)), 3, TifuParams()) == {}
    assert fit_tifu(bought((0, 0, 900), (0, 1, 900)), 3, TifuParams()) == {}


def test_popularity_lifts_by_a_small_power_and_what_nobody_touched_counts_as_the_least() -> None:
    once = [(customer, 0, "views", 0.0) for customer in range(4)] + [(0, 1, "views", 0.0)]
    arrays = fit_frequent(touches(*once), 3, FrequentParams(popular_power=0.5))
    assert arrays["frequent.lift"].tolist() == pytest.approx([1, 0.5, 0.5])
    assert arrays["frequent.params"].tolist() == [120, 1, 1, 1, 2, 0, 1]
