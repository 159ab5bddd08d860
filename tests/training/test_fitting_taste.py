"""Collaborative fits on cases small enough to work by hand. Items are rows; times are days before the cut-off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

from features.catalog import Item
from recommender.codes import Codes
from recommender.contract import Query
from recommender.retrievers.als import Als, Regularisation, confidence_of, fold_in
from recommender.retrievers.cosine import Cosine
from recommender.retrievers.ease import Ease
from recommender.retrievers.history import History
from recommender.retrievers.rp3beta import Rp3Beta
from tests.training.test_fitting import EQUAL, FOREVER, UNTIL, dense, items_of, query_of_views, touches
from training.fitting import ease
from training.fitting.als import ALS_GRID, AlsParams, fit_als, shared_out, with_factors
from training.fitting.cosine import COSINE_GRID, CosineParams, fit_cosine
from training.fitting.ease import EASE_GRID, EaseParams, fit_ease, regression
from training.fitting.graphs import customer_items
from training.fitting.ials import alternate, solve_rows, spectrum_of, turned
from training.fitting.products import Divisor, best_of_product
from training.fitting.rp3beta import RP3BETA_GRID, Rp3BetaParams, fit_rp3beta

SHARED = [(0, 0, "views", 0), (0, 1, "views", 0), (1, 0, "views", 0), (1, 1, "views", 0), (2, 1, "views", 0)]
"""Items 0 and 1 share customers 0 and 1; customer 2 has item 1 alone. Item 2 is nobody's."""
ALONE = ([], [(0, 0, "views", 1)], [(0, 0, "views", 1), (1, 1, "views", 1)])
AB = items_of(Item(item_id="a"), Item(item_id="b"))


# matrices


def test_a_customers_weights_add_up_by_type_and_age_since_their_own_last_touch() -> None:
    history = History(10.0, 1.0, np.array([1, 1, 2, 3, 0, 5], np.float32))
    log = touches(
        (0, 0, "views", 30), (0, 0, "buys", 20), (0, 1, "uncarts", 20), (1, 1, "likes", 5), (-1, 1, "likes", 0)
    )
    found = customer_items(log, 2, history)
    assert found.toarray().tolist() == pytest.approx(np.array([[5.5, 0], [0, 2]]))
    assert found.nnz == 2


def test_a_matrix_of_touches_or_none_has_ones_only() -> None:
    log = touches((0, 0, "buys", 30), (0, 1, "views", 20), (0, 1, "views", 20))
    assert customer_items(log, 2, History(1.0, 0.0, EQUAL)).toarray().tolist() == [[1, 1]]


def test_what_a_fit_and_a_retriever_make_of_one_history_is_the_same() -> None:
    views = [(0, 9), (2, 5), (0, 3), (1, 1)]
    history = History(4.0, 0.5, EQUAL)
    offline = customer_items(touches(*((0, item, "views", age) for item, age in views)), 3, history)
    item_idx, weight = history.of(query_of_views(*views))
    assert item_idx.tolist() == [0, 1, 2]
    assert_allclose(offline.toarray()[0], weight, rtol=1e-5)


grids = st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=5, max_size=5)


@given(grids, grids, st.integers(1, 6), st.booleans())
def test_the_best_of_a_product_are_those_of_the_whole_product(left, right, n, has_self) -> None:
    a, b = np.array(left, np.float32), np.array(right, np.float32)
    by_row, by_column = np.arange(1, 6, dtype=np.float32), np.arange(2, 7, dtype=np.float32)
    divisor = Divisor(by_row, by_column, 0.5)
    found = best_of_product(sparse.csr_matrix(a), sparse.csr_matrix(b), divisor, n, has_self=has_self)
    whole = ((a @ b) / (np.outer(by_row, by_column) + 0.5)).astype(np.float32)
    if not has_self:
        np.fill_diagonal(whole, 0)
    for row in range(5):
        order = sorted((-value, column) for column, value in enumerate(whole[row].tolist()) if value > 0)[:n]
        assert sorted(found[[row]].data.tolist(), reverse=True) == pytest.approx([-value for value, _ in order])


# cosine


def test_neighbours_by_cosine() -> None:
    params = CosineParams(shrink=0, asymmetry=0.5, has_self=False)
    matrix = dense(fit_cosine(touches(*SHARED), 3, params, EQUAL), "cosine", 3)
    assert matrix.tolist() == pytest.approx(np.array([[0, 2 / 6**0.5, 0], [2 / 6**0.5, 0, 0], [0, 0, 0]]))


def test_an_item_is_its_own_nearest_neighbour_where_it_may_be() -> None:
    matrix = dense(fit_cosine(touches(*SHARED), 3, CosineParams(shrink=0, asymmetry=0.5), EQUAL), "cosine", 3)
    assert np.diag(matrix).tolist() == pytest.approx([1, 1, 0])


def test_shrinkage_pulls_the_cosine_down() -> None:
    found = dense(fit_cosine(touches(*SHARED), 3, CosineParams(shrink=20, asymmetry=0.5), EQUAL), "cosine", 3)[0, 1]
    # The dot product is 2, the squared norms are 2 and 3, and 20 / 100 of their mean is 0.5.
    assert found == pytest.approx(2 / (6**0.5 + 0.5))


def test_without_the_norm_of_what_is_proposed_a_cosine_is_a_conditional_share() -> None:
    matrix = dense(fit_cosine(touches(*SHARED), 3, CosineParams(shrink=0, asymmetry=0), EQUAL), "cosine", 3)
    assert (matrix[0, 1], matrix[1, 0]) == pytest.approx((2 / 2, 2 / 3))


def test_neighbours_of_a_history_add_up() -> None:
    arrays = fit_cosine(
        touches(*SHARED), 2, CosineParams(shrink=0, asymmetry=0.5, half_life_days=10, has_self=False), EQUAL
    )
    found = Cosine(arrays, AB).retrieve(query_of_views((0, 10), (0, 20)), 5)
    assert found.item_idx.tolist() == [1]
    assert found.score[0] == pytest.approx((1 + 0.5) ** 0.5 * 2 / 6**0.5, rel=1e-5)


# RP3beta


def test_where_random_walks_end() -> None:
    params = Rp3BetaParams(alpha=1, beta=1, is_normal=False)
    matrix = dense(fit_rp3beta(touches(*SHARED), 3, params, EQUAL), "rp3beta", 3)
    # 0 → either customer (1/2 each) → 1 (1/2 each) = 1/2, over 1's three customers; 1 → 0 and 1 (1/3 each) → 0 = 1/3.
    assert (matrix[0, 1], matrix[1, 0]) == pytest.approx((1 / 2 / 3, 1 / 3 / 2))
    # Home again: 1/2, over two customers; by 0 and 1 (1/3 · 1/2 each) or by 2 (1/3 · 1), over three.
    assert np.diag(matrix)[:2].tolist() == pytest.approx([1 / 2 / 2, 2 / 3 / 3])


def test_edges_of_a_walk_can_be_made_to_sum_to_one() -> None:
    matrix = dense(fit_rp3beta(touches(*SHARED), 3, Rp3BetaParams(is_normal=True), EQUAL), "rp3beta", 3)
    assert matrix.sum(axis=1).tolist() == pytest.approx([1, 1, 0])


def test_a_walk_from_a_history() -> None:
    arrays = fit_rp3beta(touches(*SHARED), 2, Rp3BetaParams(alpha=1, beta=1, power=0, is_normal=False), EQUAL)
    found = Rp3Beta(arrays, AB).retrieve(query_of_views((0, 10), (0, 20)), 5)
    assert found.item_idx.tolist() == [0, 1]
    assert found.score.tolist() == pytest.approx([1 / 4, 1 / 6])


# EASE

PAIRS = [
    (c, i, "views", 1) for c, seen in enumerate([(0, 1), (0, 1), (0, 1), (0, 2), (1, 2), (3, 2), (3, 2)]) for i in seen
]


def test_ease_is_a_ridge_regression_of_every_item_on_the_others() -> None:
    log = touches(*PAIRS)
    matrix = dense(fit_ease(log, 4, EaseParams(reg=0.5, dropout=0, power=0), EQUAL), "ease", 4)
    x = customer_items(log, 4, History(FOREVER, 0.0, EQUAL)).toarray().astype(np.float64)
    for target in range(4):
        others = [item for item in range(4) if item != target]
        a = x[:, others]
        wanted = np.linalg.solve(a.T @ a + 0.5 * np.eye(3), a.T @ x[:, target])
        assert_allclose(matrix[others, target], wanted, atol=1e-5)
    assert not np.diag(matrix).any()
    assert matrix.min() < 0


def test_dropout_adds_to_the_regularisation_in_proportion_to_an_items_count() -> None:
    rows = [(c, i, "views", 1) for c in range(4) for i in (0, 1)]
    plain, dropped = (
        dense(fit_ease(touches(*rows), 2, EaseParams(1.0, p, power=0), EQUAL), "ease", 2)[0, 1] for p in (0.0, 0.5)
    )
    # 4 / (4 + 1), and 4 / (4 + 1 + 4).
    assert (plain, dropped) == pytest.approx((4 / 5, 4 / 9))


def test_items_with_one_customer_are_no_part_of_the_regression() -> None:
    matrix = dense(fit_ease(touches(*PAIRS, (0, 4, "views", 1)), 5, EaseParams(), EQUAL), "ease", 5)
    assert not matrix[4].any()
    assert not matrix[:, 4].any()
    assert matrix[:4, :4].any()


def test_of_a_catalogue_too_large_the_most_common_items_are_regressed() -> None:
    common = [row for row in PAIRS if row[1] != 3]
    held = EaseParams(max_items=3)
    assert_allclose(
        dense(fit_ease(touches(*PAIRS), 4, held, EQUAL), "ease", 4),
        dense(fit_ease(touches(*common), 4, EaseParams(), EQUAL), "ease", 4),
        rtol=1e-5,
    )


@pytest.mark.parametrize("max_items", [9, 100])
def test_by_way_of_few_customers_the_regression_is_the_same(max_items: int) -> None:
    rng = np.random.default_rng(0)
    shared = [(c, int(i), "views", 1) for c in range(9) for i in rng.choice(40, 12, replace=False)]
    log = touches(*shared, *((9 + i, i, "views", 1) for i in range(20)))
    params = EaseParams(reg=2.0, dropout=0.3, max_items=max_items)
    matrix = customer_items(log, 40, History(params.half_life_days, params.power, EQUAL))
    known = np.flatnonzero(np.bincount(matrix.indices, minlength=40) > 1)
    wanted = np.zeros((40, 40), np.float32)
    wanted[np.ix_(known, known)] = regression(matrix[:, known], params)
    assert len(known) > 9
    assert_allclose(dense(fit_ease(log, 40, params, EQUAL), "ease", 40), wanted, rtol=1e-4, atol=1e-6)


def test_customers_without_two_known_items_take_no_room_in_the_regression(monkeypatch) -> None:
    sizes, inverted = [], ease._inverted
    monkeypatch.setattr(ease, "_inverted", lambda core: sizes.append(len(core)) or inverted(core))
    shared = [(c, i, "views", 1) for c in range(3) for i in range(9)]
    some = [(3 + c, 20 + c, "views", 1) for c in range(30)] + [(40 + c, 0, "views", 1) for c in range(30)]
    assert fit_ease(touches(*shared, *some), 60, EaseParams(), EQUAL)
    assert sizes == [3]


@pytest.mark.parametrize(("n_items", "kept"), [(12, 12), (40, 16)])
def test_by_way_of_few_customers_four_times_as_many_items_fit(n_items: int, kept: int) -> None:
    log = touches(*((c, i, "views", 1) for c in range(3) for i in range(n_items)))
    matrix = dense(fit_ease(log, n_items, EaseParams(max_items=4), EQUAL), "ease", n_items)
    assert int(matrix.any(axis=1).sum()) == kept


def test_what_speaks_against_an_item_takes_from_what_speaks_for_it() -> None:
    arrays = fit_ease(touches(*PAIRS), 4, EaseParams(reg=0.5, dropout=0, power=0), EQUAL)
    items = items_of(*(Item(item_id=name) for name in "abcd"))
    matrix, source = dense(arrays, "ease", 4), Ease(arrays, items)
    found = source.retrieve(query_of_views((0, 1), (3, 1)), 4)
    total = matrix[0] + matrix[3]
    assert sorted(found.item_idx.tolist()) == np.flatnonzero(total > 0).tolist()
    assert found.score.tolist() == pytest.approx(sorted(total[total > 0].tolist(), reverse=True))
    assert found.score[found.item_idx == 1] < source.retrieve(query_of_views((0, 1)), 1).score


@pytest.mark.parametrize("rows", ALONE)
def test_items_that_share_no_customer_are_no_neighbours(rows) -> None:
    log = touches(*rows)
    assert fit_cosine(log, 2, CosineParams(has_self=False), EQUAL) == {}
    assert fit_rp3beta(log, 2, Rp3BetaParams(has_self=False), EQUAL) == {}
    assert fit_ease(log, 2, EaseParams(), EQUAL) == {}


# ALS

BLOCKS = [(customer, item, "views", 1) for customer in range(8) for item in range(6) if (customer < 4) == (item < 3)]
PARAMS = AlsParams(n_factors=4, strength=20 / 2**0.5, reg=0.1, nu=0.0)
"""Half of the cells are seen, so that alpha is 20."""


def test_taste_is_for_the_items_of_ones_own_crowd() -> None:
    log = touches(*(row for row in BLOCKS if row[:2] != (0, 2)))
    items = items_of(*(Item(item_id=name) for name in "abcdefg"))
    found = Als(fit_als(log, 7, PARAMS, EQUAL, seed=1), items).retrieve(query_of_views((0, 1), (1, 1)), 3)
    assert set(found.item_idx.tolist()) == {0, 1, 2}


entries = st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=3, max_size=12)


@given(entries, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([2, 4]), st.sampled_from([1.0, 30.0]))
def test_a_customer_folded_in_is_the_customer_that_was_fitted(seen, nu, n_factors, alpha) -> None:
    rows = sparse.csr_matrix(np.array([[alpha * (item in one) for item in range(10)] for one in seen], np.float32))
    reg = Regularisation(0.5, 3.0, nu)
    of_rows = np.array([reg.of(n) for n in np.diff(rows.indptr)], np.float32)
    fitted = alternate(rows, n_factors, reg_rows=of_rows, reg_columns=np.ones(10, np.float32), n_iterations=3, seed=1)
    spectrum = spectrum_of(fitted.columns)
    for row, one in enumerate(seen):
        confidence = np.full(len(one), 1 + alpha, np.float32)
        item_idx = np.array(sorted(one), np.int32)
        taste = fold_in(fitted.columns, spectrum, item_idx, confidence, reg=reg.of(len(one)))
        assert_allclose(taste, fitted.rows[row], atol=1e-3)


def test_every_half_leaves_the_loss_no_greater() -> None:
    matrix = (
        customer_items(touches(*BLOCKS, (0, 4, "views", 1), (5, 1, "views", 1)), 6, History(FOREVER, 0.0, EQUAL)) * 10
    )
    seen, reg = matrix.toarray(), np.float32(0.3)
    columns = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)

    def loss(rows, columns) -> float:
        squared = (1 + seen) * ((seen > 0) - rows @ columns.T) ** 2
        return float(squared.sum() + reg * ((rows**2).sum() + (columns**2).sum()))

    losses = []
    for _ in range(4):
        columns = turned(columns)
        rows = solve_rows(matrix, columns, np.full(8, reg))
        losses.append(loss(rows, columns))
        rows = turned(rows)
        columns = solve_rows(matrix.T.tocsr(), rows, np.full(6, reg))
        losses.append(loss(rows, columns))
    assert losses == sorted(losses, reverse=True)


def test_turning_makes_a_gram_matrix_diagonal_and_leaves_every_length() -> None:
    factors = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    straight = turned(factors)
    assert_allclose(straight.T @ straight, np.diag(spectrum_of(straight)), atol=1e-5)
    assert_allclose(straight @ straight.T, factors @ factors.T, atol=1e-5)


def test_regularisation_keeps_its_mean_however_it_is_shared_out() -> None:
    n_seen = np.array([0, 1, 5, 30])
    for nu in (0.0, 0.5, 1.0):
        reg = shared_out(n_seen, 5.0, AlsParams(reg=4.0, nu=nu))
        assert np.mean([reg.of(n) for n in (1, 5, 30)]) == pytest.approx(4)
    # (n + 5) in proportion: 6, 10 and 35.
    assert [reg.of(n) for n in (1, 5, 30)] == pytest.approx([4 * n / 17 for n in (6, 10, 35)])


def test_als_arrays_are_what_the_retriever_reads() -> None:
    params = PARAMS._replace(nu=1.0)
    arrays = fit_als(touches(*BLOCKS), 6, params, EQUAL, seed=1)
    assert {name: (a.dtype.name, a.ndim) for name, a in arrays.items()} == {**Als.arrays, **Codes.arrays}
    # Every customer has three items and every one counts alike: the scale is reg / (3 + 6 / 20).
    wanted = [20, 0.1 / 3.3, 6 / 20, 1, params.half_life_days, params.power, *EQUAL]
    assert arrays["als.params"].tolist() == pytest.approx(wanted)


def test_other_factors_come_straight_with_their_own_spectrum() -> None:
    arrays = fit_als(touches(*BLOCKS), 6, PARAMS, EQUAL, seed=1)
    other = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    changed = with_factors(arrays, other)
    factors = changed["als.item_factors"]
    assert_allclose(factors.T @ factors, np.diag(changed["als.spectrum"]), atol=1e-5)
    assert_allclose(factors @ factors.T, other @ other.T, atol=1e-5)
    assert changed["als.params"] is arrays["als.params"]


def test_a_long_history_is_folded_in_by_its_strongest_items() -> None:
    rng = np.random.default_rng(0)
    factors = turned(rng.normal(size=(600, 4)).astype(np.float32))
    arrays = with_factors({"als.params": np.array([5, 1, 0, 0, 50, 1, *EQUAL], np.float32)}, factors)
    query = query_of_views(*((item, 600 - item) for item in range(600)))
    found = Als(arrays, items_of()).retrieve(query, 600)
    kept = np.arange(100, 600, dtype=np.int32)
    weight = np.exp2((kept - 599) / 50).astype(np.float32)
    taste = fold_in(arrays["als.item_factors"], arrays["als.spectrum"], kept, confidence_of(weight, 5.0), reg=1.0)
    assert_allclose(found.score, (arrays["als.item_factors"] @ taste)[found.item_idx], atol=1e-5)


def test_items_that_no_fitted_customer_touched_have_no_taste() -> None:
    arrays = fit_als(touches(*BLOCKS, (8, 6, "views", 1)), 8, PARAMS, EQUAL, seed=1)
    assert not arrays["als.item_factors"][6:].any()
    assert arrays["als.item_factors"][:6].any(axis=1).all()


@pytest.mark.parametrize("rows", ALONE)
def test_customers_with_one_item_teach_no_taste(rows) -> None:
    assert fit_als(touches(*rows), 2, PARAMS, EQUAL, seed=1) == {}


def test_equal_touches_and_seed_give_equal_factors_and_another_seed_does_not() -> None:
    first, again, other = (fit_als(touches(*BLOCKS), 6, PARAMS, EQUAL, seed=seed) for seed in (3, 3, 4))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert first["als.item_factors"].tobytes() != other["als.item_factors"].tobytes()


@pytest.mark.parametrize("grid", [ALS_GRID, COSINE_GRID, RP3BETA_GRID, EASE_GRID])
def test_the_first_setting_of_a_grid_is_the_default_and_all_differ(grid) -> None:
    assert grid[0] == type(grid[0])()
    assert len(set(grid)) == len(grid)


def test_a_page_about_an_item_is_enough_to_go_by() -> None:
    query = Query(UNTIL, anchor_idx=np.array([0], np.int32))
    for fit, params, source in ((fit_cosine, CosineParams(), Cosine), (fit_rp3beta, Rp3BetaParams(), Rp3Beta)):
        assert 1 in source(fit(touches(*SHARED), 2, params, EQUAL), AB).retrieve(query, 5).item_idx.tolist()
