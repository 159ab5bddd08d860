"""What rises, what is new, and what kindred customers are at, on cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalog import Item
from features.events import DAY_US
from recommender.contract import Query
from recommender.retrievers.fresh import NEVER_SEEN, Fresh
from recommender.retrievers.kindred import Kindred
from recommender.retrievers.trending import Trending
from tests.training.test_fitting import FOREVER, UNTIL, dense, items_of, query_of_views, rows_named, touches
from training.fitting.fresh import FreshParams, fit_fresh
from training.fitting.kindred import MAX_ITEMS_A_CUSTOMER, KindredParams, fit_kindred
from training.fitting.ranked import N_KEPT, ranked_of
from training.fitting.trending import TrendingParams, fit_trending

ANYBODY = Query(now=UNTIL)

# trending


def test_what_is_touched_as_ever_does_not_rise_and_what_is_touched_more_does() -> None:
    items = items_of(Item(item_id="steady"), Item(item_id="rising"), Item(item_id="gone"))
    steady, rising, gone = rows_named(items, "steady", "rising", "gone")
    days = [(day, steady, "views", day + 0.5) for day in range(60)]
    log = touches(*days, *((c, rising, "views", 0.5) for c in range(9)), *((c, gone, "views", 50.5) for c in range(99)))
    found = Trending(fit_trending(log, items, TrendingParams()), items).retrieve(ANYBODY, 3)
    assert found.item_idx.tolist() == [rising]


def test_a_rise_is_the_shrunken_ratio_of_rates_times_what_there_is() -> None:
    items = items_of(Item(item_id="a"), Item(item_id="b"))
    a, b = rows_named(items, "a", "b")
    log = touches((0, a, "views", 1), (1, a, "views", 1), (0, b, "views", 30))
    arrays = fit_trending(log, items, TrendingParams(half_life_days=1, long_half_life_days=30, smoothing=3))
    # Half-lives of 1 and 30 days over 30 days of data stand for (1 - 2^-30) and 30 (1 - 2^-1) units of log 2.
    expected = 2 * 2 ** (-1 / 30) / (30 * 0.5)
    assert arrays["trending.item_idx"].tolist() == [a]
    assert arrays["trending.score"].tolist() == pytest.approx([(1 + 3) / (expected + 3) - 1], rel=1e-4)


def test_what_is_talked_about_elsewhere_rises_too() -> None:
    items = items_of(Item(item_id="a"), Item(item_id="b"))
    a, b = rows_named(items, "a", "b")
    log = touches((0, a, "views", 20), (0, b, "views", 20), *((-1, b, "likes", 0.1 + n / 100) for n in range(5)))
    assert fit_trending(log, items, TrendingParams())["trending.item_idx"].tolist() == [b]


def test_three_clicks_in_a_quiet_shop_rise_less_than_a_crowd() -> None:
    items = items_of(Item(item_id="clicks"), Item(item_id="crowd"))
    clicks, crowd = rows_named(items, "clicks", "crowd")
    usual = [(day, crowd, "views", day + 1.0) for day in range(30)]
    log = touches(
        *usual, *((c, clicks, "views", 0.1) for c in range(3)), *((c, crowd, "views", 0.1) for c in range(30))
    )
    assert fit_trending(log, items, TrendingParams(smoothing=10))["trending.item_idx"].tolist() == [crowd, clicks]


@pytest.mark.parametrize("rows", [[], [(0, 0, "views", 10), (0, 1, "views", 0.0)][:1]])
def test_where_nothing_rises_there_is_no_source(rows) -> None:
    assert fit_trending(touches(*rows), items_of(Item(item_id="a")), TrendingParams()) == {}


# fresh


def test_new_items_come_by_age_and_by_what_their_category_promises() -> None:
    items = items_of(
        Item(item_id="old", category="x"),
        Item(item_id="new-x", category="x", published_at=UNTIL - 7 * DAY_US),
        Item(item_id="new-y", category="y", published_at=UNTIL - 7 * DAY_US),
        Item(item_id="unheard"),
    )
    old, new_x, new_y, unheard = rows_named(items, "old", "new-x", "new-y", "unheard")
    log = touches(*((c, old, "views", 14) for c in range(4)))
    arrays = fit_fresh(log, items, FreshParams(half_life_days=7, smoothing=1))
    # Dated items have 4/3 customers on average; x has (4 + 0 + 4/3) / 3 = 16/9, y (0 + 4/3) / 2 = 2/3.
    wanted = {old: (4 + 16 / 9) / 2 / 4, new_x: 16 / 9 / 2 / 2, new_y: 2 / 3 / 2 / 2}
    found = dict(zip(*(c.tolist() for c in Fresh(arrays, items).retrieve(ANYBODY, 9)), strict=True))
    assert found == pytest.approx(wanted)
    today = UNTIL // DAY_US
    wanted_day = {old: today - 14, new_x: today - 7, new_y: today - 7, unheard: NEVER_SEEN}
    assert dict(enumerate(arrays["fresh.first_seen_day"].tolist())) == wanted_day


def test_a_catalogue_without_dates_or_touches_has_nothing_new() -> None:
    assert fit_fresh(touches(), items_of(Item(item_id="a")), FreshParams()) == {}


# one list


def test_a_list_holds_so_many_of_each_kind_and_nothing_that_cannot_be_had() -> None:
    goods = [Item(item_id=f"p{n}") for n in range(N_KEPT + 3)]
    items = items_of(*goods, Item(item_id="post", kind="content"), Item(item_id="gone", available=False))
    post, gone = rows_named(items, "post", "gone")
    score = np.full(len(items), 2, np.float32)
    score[post] = 1
    found = ranked_of("x", score, items)["x.item_idx"].tolist()
    assert len(found) == N_KEPT + 1
    assert found[-1] == post
    assert gone not in found
    assert found[:-1] == sorted(found[:-1])


# kindred


def test_kindred_customers_lead_to_what_they_touched_last() -> None:
    log = touches(
        (0, 0, "reads", 100), (0, 1, "reads", 50), (0, 2, "reads", 1), (1, 0, "reads", 90), (1, 3, "reads", 2)
    )
    matrix = dense(fit_kindred(log, 4, KindredParams(half_life_days=1, power=0.5)), "kindred", 4)
    # Item 0 has two customers, of three items and of two; what was last touched weeks ago is forgotten.
    wanted = [0, 0, 2**-1 / 3**0.5 / 2**0.5, 2**-2 / 2**0.5 / 2**0.5]
    assert matrix[0].tolist() == pytest.approx(wanted, rel=1e-6, abs=1e-12)
    assert matrix[2].tolist() == pytest.approx([0, 0, 0, 0], abs=1e-12)


def test_without_decay_the_walk_forgets_nothing() -> None:
    log = touches((0, 0, "views", 300), (0, 1, "views", 1))
    found = dense(fit_kindred(log, 2, KindredParams(half_life_days=FOREVER, power=1.0)), "kindred", 2)
    assert found.tolist() == pytest.approx(np.array([[0, 1 / 2], [1 / 2, 0]]))


def test_a_machine_that_touches_everything_says_little_of_its_last_items_only() -> None:
    crawl = [
        (0, item, "views", 1 + (MAX_ITEMS_A_CUSTOMER + 5 - item) / 1000) for item in range(MAX_ITEMS_A_CUSTOMER + 5)
    ]
    matrix = dense(fit_kindred(touches(*crawl), len(crawl), KindredParams()), "kindred", len(crawl))
    assert not matrix[:5].any()
    assert not matrix[:, :5].any()


@pytest.mark.parametrize(
    "rows", [[], [(0, 0, "views", 1), (1, 1, "views", 1)], [(-1, 0, "likes", 1), (-1, 1, "likes", 1)]]
)
def test_customers_with_one_item_have_no_kin(rows) -> None:
    assert fit_kindred(touches(*rows), 2, KindredParams()) == {}


def test_every_item_of_a_history_counts_the_same() -> None:
    log = touches((0, 0, "views", 9), (0, 2, "views", 0.0), (1, 1, "views", 9), (1, 2, "views", 0.0))
    arrays = fit_kindred(log, 3, KindredParams(half_life_days=1, power=0))
    items = items_of(*(Item(item_id=name) for name in "abc"))
    found = Kindred(arrays, items).retrieve(query_of_views((0, 9), (1, 8), (1, 7)), 1)
    assert found.item_idx.tolist() == [2]
    assert found.score.tolist() == pytest.approx([2.0], rel=1e-6)
