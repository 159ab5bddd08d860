"""Each fit on a case small enough to work by hand. Items are rows 0, 1, 2 …; times are days before the cut-off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from features.catalog import Item
from features.events import DAY_US
from features.ids import key64
from recommender.contract import TOUCHES, Query
from recommender.items import Items
from recommender.retrievers.category import CategoryPopular
from recommender.retrievers.covisit import ViewedNext
from recommender.retrievers.history import History, item_weights
from recommender.retrievers.own import OwnFrequent, OwnRecent
from recommender.retrievers.popular import Popular
from training.fitting.covisit import RELATIONS, SEQUENTIAL_RULES, CovisitParams, fit_bought_together, fit_covisit
from training.fitting.graphs import best_of_rows, customer_items
from training.fitting.own import FrequentParams, fit_frequent
from training.fitting.popular import (
    MIN_LOCALE_CUSTOMERS,
    N_KEPT_OF_CATEGORY,
    PopularParams,
    decayed_counts,
    fit_category,
    fit_popular,
)
from training.touches import Touches
from training.vocabulary import vocabulary_of

UNTIL = 20_000 * DAY_US
MINUTE_US = 60_000_000
EQUAL = np.ones(6, np.float32)
FOREVER = 1e9
RELATION = {relation.name: relation for relation in RELATIONS}
FORWARD = CovisitParams(window_days=1, half_life_days=FOREVER, backward=0, row_power=1)


def touches(*rows, locales=None) -> Touches:
    """Interactions from (customer, item, touch, days before the cut-off); customer -1 is nobody."""
    ordered = sorted((c, UNTIL - round(age * DAY_US), item, TOUCHES.index(touch)) for c, item, touch, age in rows)
    customer, at, item, touch = np.array(ordered, np.int64).reshape(-1, 4).T
    n = int(customer.max(initial=-1)) + 1
    return Touches(
        until=UNTIL,
        customer_ids=tuple(f"c{i:03}" for i in range(n)),
        locales=tuple(locales or [None] * n),
        item_keys=np.arange(int(item.max(initial=-1)) + 1, dtype=np.int64),
        customer_idx=customer.astype(np.int32),
        item_idx=item.astype(np.int32),
        at=at,
        touch=touch.astype(np.uint8),
    )


def items_of(*rows: Item) -> Items:
    return Items(vocabulary_of(rows, {}, touches()).arrays)


def dense(arrays, name, n) -> np.ndarray:
    """A graph as a matrix."""
    parts = (arrays[f"{name}.weight"], arrays[f"{name}.item_idx"], arrays[f"{name}.indptr"])
    return sparse.csr_matrix(parts, (n, n)).toarray()


def rows_named(items: Items, *names: str) -> list[int]:
    return items.rows_of(np.array([key64(name) for name in names])).tolist()


# popular and category


def test_a_count_halves_every_half_life() -> None:
    found = decayed_counts(touches((0, 0, "views", 7), (1, 0, "buys", 14), (0, 1, "carts", 0)), 3, 7.0)
    assert found.tolist() == pytest.approx([1 / 2 + 2 / 4, 1.5, 0], rel=1e-5)


def test_one_customer_counts_once_a_day_and_item_level_signals_count_each() -> None:
    same_day = [(0, 0, "views", 0.5), (0, 0, "views", 0.4), (0, 0, "views", 1.5)]
    assert decayed_counts(touches(*same_day), 1, FOREVER).tolist() == pytest.approx([2])
    stronger = [(0, 0, "views", 0.5), (0, 0, "buys", 0.4), (0, 0, "views", 0.3)]
    assert decayed_counts(touches(*stronger), 1, FOREVER).tolist() == pytest.approx([2])
    nobody = [(-1, 0, "likes", 0.5), (-1, 0, "likes", 0.4)]
    assert decayed_counts(touches(*nobody), 1, FOREVER).tolist() == pytest.approx([2])


def test_every_kind_has_a_list_that_ends_with_what_nobody_touched() -> None:
    items = items_of(*(Item(item_id=name) for name in "abc"), Item(item_id="post", kind="content"))
    a, b, c, post = rows_named(items, "a", "b", "c", "post")
    log = touches((0, a, "views", 1), (0, b, "views", 1), (1, b, "views", 1))
    arrays = fit_popular(log, items, PopularParams(FOREVER))
    assert arrays["popular.context"].tolist() == [[0, -1], [1, -1]]
    assert arrays["popular.indptr"].tolist() == [0, 3, 4]
    assert arrays["popular.item_idx"].tolist() == [b, a, c, post]
    score = arrays["popular.score"].tolist()
    assert score[:2] == pytest.approx([1, 0.5])
    assert 0 < score[2] < 1e-5
    assert Popular(arrays, items).retrieve(Query(now=UNTIL), 2).item_idx.tolist() == [b, a]


def test_what_was_touched_long_ago_keeps_its_order_above_what_never_was() -> None:
    items = items_of(*(Item(item_id=name) for name in "abcd"))
    old = [(customer, item, "views", 400) for item in range(3) for customer in range(item + 1)]
    found = Popular(fit_popular(touches(*old), items, PopularParams(7.0)), items).retrieve(Query(now=UNTIL), 4)
    assert found.item_idx.tolist() == [2, 1, 0, 3]
    fresh = [*old, (0, 3, "views", 0)]
    found = Popular(fit_popular(touches(*fresh), items, PopularParams(7.0)), items).retrieve(Query(now=UNTIL), 4)
    assert found.item_idx.tolist() == [3, 2, 1, 0]


def test_a_half_life_of_hours_keeps_the_order_of_a_year_ago() -> None:
    old = [(customer, item, "views", 300) for item in range(3) for customer in range(item + 1)]
    counts = decayed_counts(touches(*old), 3, 0.25)
    assert 0 < counts[0] < counts[1] < counts[2]


def test_a_locale_with_customers_enough_has_lists_of_its_own() -> None:
    items = items_of(Item(item_id="a", locale="tr"), Item(item_id="b"))
    a, b = rows_named(items, "a", "b")
    turkish = [(customer, a, "views", 1) for customer in range(MIN_LOCALE_CUSTOMERS)]
    others = [(MIN_LOCALE_CUSTOMERS + n, b, "views", 1) for n in range(40)]
    locales = ["tr"] * MIN_LOCALE_CUSTOMERS + [None] * 40
    arrays = fit_popular(touches(*turkish, *others, locales=locales), items, PopularParams(FOREVER))
    assert arrays["popular.context"].tolist() == [[0, -1], [0, 0]]
    source = Popular(arrays, items)
    assert source.retrieve(Query(now=UNTIL), 2).item_idx.tolist() == [b, a]
    lifted = source.retrieve(Query(now=UNTIL, locale="tr"), 2)
    assert lifted.item_idx.tolist() == [a, b]
    assert lifted.score.tolist() == pytest.approx([0.5 * 20 / 40 + 0.5, 0.5], abs=1e-5)
    few = fit_popular(touches(*turkish[1:], *others, locales=locales), items, PopularParams(FOREVER))
    assert few["popular.context"].tolist() == [[0, -1], [0, 0]]
    fewer = fit_popular(touches(*turkish, *others, locales=[None, *locales[1:]]), items, PopularParams(FOREVER))
    assert fewer["popular.context"].tolist() == [[0, -1]]


def test_a_category_lists_its_own_items_and_recent_categories_weigh_most() -> None:
    items = items_of(Item(item_id="a", category="x"), Item(item_id="b", category="x"), Item(item_id="c", category="y"))
    a, b, c = rows_named(items, "a", "b", "c")
    log = touches((0, a, "views", 1), (1, a, "views", 1), (0, b, "views", 1), (0, c, "views", 1))
    source = CategoryPopular(fit_category(log, items, PopularParams(FOREVER)), items)
    query = Query(now=UNTIL, touch_idx=np.array([c, b], np.int32))
    found = dict(zip(*(column.tolist() for column in source.retrieve(query, 9)), strict=True))
    assert found == pytest.approx({a: 1.0, b: 0.5, c: 0.8})


def test_a_category_has_room_for_its_content_beside_many_products() -> None:
    shelf = [Item(item_id=f"p{n}", category="x") for n in range(N_KEPT_OF_CATEGORY + 5)]
    items = items_of(*shelf, Item(item_id="guide", kind="content", category="x"))
    (guide,) = rows_named(items, "guide")
    log = touches(*((0, row, "views", 1) for row in range(len(items)) if row != guide))
    arrays = fit_category(log, items, PopularParams(FOREVER))
    assert arrays["category.item_idx"].tolist()[-1] == guide
    assert len(arrays["category.item_idx"]) == N_KEPT_OF_CATEGORY + 1
    reader = Query(now=UNTIL, touch_idx=np.array([guide], np.int32))
    assert guide not in CategoryPopular(arrays, items).retrieve(reader, 9).item_idx.tolist()


def test_without_categories_there_is_no_category_source() -> None:
    assert fit_category(touches((0, 0, "views", 1)), items_of(Item(item_id="a")), PopularParams(7.0)) == {}


# co-visits


def test_co_visits_run_forward_and_weigh_one_over_their_steps() -> None:
    log = touches((0, 0, "views", 0.03), (0, 1, "views", 0.02), (0, 2, "views", 0.01))
    arrays = fit_covisit(log, 3, RELATION["viewed_next"], FORWARD)
    assert dense(arrays, "viewed_next", 3).tolist() == pytest.approx(
        np.array([[0, 2 / 3, 1 / 3], [0, 0, 1], [0, 0, 0]])
    )


def test_co_visits_fade_with_age() -> None:
    log = touches((0, 0, "views", 10.01), (0, 1, "views", 10), (1, 0, "views", 20.01), (1, 2, "views", 20))
    arrays = fit_covisit(log, 3, RELATION["viewed_next"], FORWARD._replace(half_life_days=10))
    assert dense(arrays, "viewed_next", 3)[0].tolist() == pytest.approx([0, 2 / 3, 1 / 3])


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 0, "views", 3), (0, 1, "views", 1)],  # outside the window
        [(0, 0, "views", 1), (1, 1, "views", 0.9)],  # two customers
        [(-1, 0, "views", 1), (-1, 1, "views", 0.9)],  # nobody
        [(0, 0, "views", 1), (0, 0, "views", 0.9)],  # the same item
        [(0, 0, "reads", 1), (0, 1, "views", 0.9)],  # touches of another relation
        [],
    ],
)
def test_what_is_no_co_visit_leaves_no_source(rows) -> None:
    assert fit_covisit(touches(*rows), 2, RELATION["viewed_next"], CovisitParams()) == {}


def test_a_relation_runs_from_its_touches_to_its_touches() -> None:
    log = touches((0, 0, "reads", 0.04), (0, 1, "reads", 0.03), (0, 2, "buys", 0.02), (0, 3, "reads", 0.01))
    arrays = fit_covisit(log, 4, RELATION["read_bought"], CovisitParams(row_power=0))
    matrix = dense(arrays, "read_bought", 4)
    assert matrix[:, 2].tolist() == pytest.approx([1 / 2, 1, 0, 0], abs=1e-3)
    assert matrix.sum() == pytest.approx(1.5, abs=1e-3)


def test_pairs_count_backward_as_well_by_less_and_rows_are_divided_by_a_power_of_their_sum() -> None:
    log = touches((0, 0, "views", 0.03), (0, 1, "views", 0.02), (0, 2, "views", 0.01))
    params = CovisitParams(half_life_days=FOREVER, step_power=2, backward=0.5)
    matrix = dense(fit_covisit(log, 3, RELATION["viewed_next"], params), "viewed_next", 3)
    unnormalised = np.array([[0, 1, 1 / 4], [1 / 2, 0, 1], [1 / 8, 1 / 2, 0]])
    assert matrix == pytest.approx(unnormalised / np.sqrt(unnormalised.sum(axis=1, keepdims=True)))


def test_a_relation_between_different_touches_never_runs_backward() -> None:
    log = touches((0, 0, "reads", 0.02), (0, 1, "buys", 0.01))
    arrays = fit_covisit(log, 2, RELATION["read_bought"], FORWARD._replace(backward=1))
    assert dense(arrays, "read_bought", 2).tolist() == [[0, 1], [0, 0]]


def test_plain_sequential_rules_sum_over_steps_and_know_the_newest_item_only() -> None:
    log = touches((0, 0, "views", 300), (0, 1, "views", 200), (0, 0, "views", 100), (0, 2, "views", 0.01))
    arrays = fit_covisit(log, 3, RELATION["viewed_next"], SEQUENTIAL_RULES._replace(half_life_days=FOREVER))
    assert dense(arrays, "viewed_next", 3) == pytest.approx(np.array([[1 / 2, 1, 1 + 1 / 3], [1, 0, 1 / 2], [0, 0, 0]]))
    source = ViewedNext(arrays, items_of(*(Item(item_id=name) for name in "abc")))
    counts = np.array([[1, 0, 0, 0, 0, 0]] * 2, np.int32)
    query = Query(now=UNTIL, touch_idx=np.array([0, 1], np.int32), touch_at=np.array([1, 2]), touch_counts=counts)
    assert source.retrieve(query, 5).item_idx.tolist() == [0, 2]


def test_the_last_item_seen_leads_to_what_others_looked_at_next() -> None:
    log = touches((0, 0, "views", 0.02), (0, 1, "views", 0.01))
    arrays = fit_covisit(log, 2, RELATION["viewed_next"], FORWARD)
    counts = np.array([[1, 0, 0, 0, 0, 0]], np.int32)
    query = Query(now=UNTIL, touch_idx=np.array([0], np.int32), touch_at=np.array([UNTIL - 1]), touch_counts=counts)
    found = ViewedNext(arrays, items_of(Item(item_id="a"), Item(item_id="b"))).retrieve(query, 5)
    assert found.item_idx.tolist() == [1]
    assert found.score.tolist() == pytest.approx([1])


def test_one_basket_joins_its_items_both_ways() -> None:
    log = touches((0, 0, "buys", 0.5), (0, 1, "buys", 0.4), (0, 1, "buys", 0.3))
    arrays = fit_bought_together(log, 2, window_days=14, half_life_days=FOREVER)
    assert dense(arrays, "bought_together", 2).tolist() == [[0, 1], [1, 0]]


def test_a_basket_leads_to_the_next_one_within_the_window_at_half_the_weight() -> None:
    log = touches((0, 0, "buys", 10), (0, 1, "buys", 10), (0, 2, "buys", 5), (0, 3, "buys", 0.5))
    matrix = dense(fit_bought_together(log, 4, window_days=14, half_life_days=FOREVER), "bought_together", 4)
    # Rows 0 and 1: 1/2 for the other item of the basket, 1/4 for what came five days later.
    assert matrix[:2].tolist() == pytest.approx(np.array([[0, 2 / 3, 1 / 3, 0], [2 / 3, 0, 1 / 3, 0]]))
    assert matrix[2].tolist() == pytest.approx([0, 0, 0, 1])
    apart = fit_bought_together(touches((0, 0, "buys", 40), (0, 1, "buys", 5)), 2, window_days=14, half_life_days=30)
    assert apart == {}


def test_reading_leads_to_what_was_chosen_after_it_and_never_back() -> None:
    log = touches((0, 0, "reads", 0.05), (0, 1, "reads", 0.04), (0, 2, "views", 0.03), (0, 3, "buys", 0.02))
    params = CovisitParams(window_days=1, half_life_days=FOREVER, row_power=1)
    arrays = fit_covisit(log, 4, RELATION["read_bought"], params)
    wanted = np.zeros((4, 4))
    wanted[0, 2:], wanted[1, 2:] = (3 / 5, 2 / 5), (2 / 3, 1 / 3)
    assert dense(arrays, "read_bought", 4).tolist() == pytest.approx(wanted)


def test_two_customers_baskets_are_not_joined() -> None:
    assert fit_bought_together(touches((0, 0, "buys", 1), (1, 1, "buys", 1)), 2, window_days=14, half_life_days=9) == {}
    assert fit_bought_together(touches((0, 0, "views", 1)), 1, window_days=14, half_life_days=9) == {}


# matrices


def test_a_customers_weights_add_up_by_type_and_age() -> None:
    weights = np.array([1, 1, 2, 3, 0, 5], np.float32)
    log = touches(
        (0, 0, "views", 10), (0, 0, "buys", 0), (0, 1, "uncarts", 0), (1, 1, "likes", 20), (-1, 1, "likes", 0)
    )
    found = customer_items(log, 2, History(10.0, 1.0, weights))
    # Ages run back from each customer's own last touch: a like of 20 days ago that nothing followed counts in full.
    assert found.toarray().tolist() == pytest.approx(np.array([[5.5, 0], [0, 2]]))
    assert found.nnz == 2


@given(st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=1, max_size=5), st.integers(1, 6))
def test_the_best_entries_of_each_row_are_those_of_a_full_sort(rows, n) -> None:
    matrix = sparse.csr_matrix(np.array(rows, np.float32))
    kept = best_of_rows(matrix.copy(), n)
    for row, values in enumerate(rows):
        wanted = sorted((-value, column) for column, value in enumerate(values) if value)[:n]
        part = kept[[row]]
        assert sorted(zip((-part.data).tolist(), part.indices.tolist(), strict=True)) == wanted


# the customer's own


def query_of_views(*views: tuple[int, float]) -> Query:
    """A customer who viewed some items so many days ago, oldest first."""
    return Query(
        now=UNTIL,
        touch_idx=np.array([item for item, _ in views], np.int32),
        touch_at=np.array([UNTIL - round(age * DAY_US) for _, age in views], np.int64),
        touch_counts=np.array([[1, 0, 0, 0, 0, 0]] * len(views), np.int32).reshape(-1, 6),
    )


def test_recent_items_come_by_their_place() -> None:
    found = OwnRecent({}, items_of()).retrieve(query_of_views((4, 3), (2, 2), (4, 1), (7, 0.5)), 9)
    assert found.item_idx.tolist() == [7, 4, 2]
    assert found.score.tolist() == pytest.approx([1, 1 / 2, 1 / 3])


def test_frequent_items_come_by_decayed_counts() -> None:
    params = FrequentParams(half_life_days=10, popular_power=0)
    source = OwnFrequent(fit_frequent(touches((0, 4, "views", 1)), 5, params), items_of())
    found = source.retrieve(query_of_views((4, 20), (4, 10), (2, 0.0)), 9)
    assert found.item_idx.tolist() == [2, 4]
    assert found.score.tolist() == pytest.approx([1, 0.75])


def test_orders_older_than_the_kept_touches_count_from_the_long_memory() -> None:
    views = query_of_views((0, 5))
    day = UNTIL // DAY_US
    bought = {
        "bought_idx": np.array([1, 0], np.int32),
        "bought_day": np.array([day - 10, day - 5], np.int32),
        "bought_n": np.array([2, 1], np.int32),
    }
    query = Query(views.now, views.touch_idx, views.touch_at, views.touch_counts, **bought)
    item_idx, weight = item_weights(query, np.array([1, 0, 0, 0, 0, 3], np.float32), 10.0)
    assert item_idx.tolist() == [0, 1]
    assert weight.tolist() == pytest.approx([1, 2 * 3 * 0.5**0.5])  # ages run back from the last touch
