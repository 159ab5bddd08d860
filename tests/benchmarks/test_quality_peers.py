"""Baselines on cases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.lists import N, lists_of
from benchmarks.quality.peers import BUDGET, PEERS
from benchmarks.quality.peers.baskets import Tifu, everyone, fit_tifu, vectors
from benchmarks.quality.peers.blends import Shares, fit_blend
from benchmarks.quality.peers.factors import Als, Ease, fit_als, fit_ease
from benchmarks.quality.peers.neighbours import Knn, Rp3beta, fit_knn, fit_rp3beta
from benchmarks.quality.peers.rules import Rules, fit_rules
from benchmarks.quality.peers.sessions import Vstan, fit_vstan
from benchmarks.quality.peers.simple import Own, Popular, Recent, fit_own, fit_popular, fit_recent
from tests.benchmarks.quality_case import past_of, query_of

# Customer 0 has items 0, 1; customer 1 has 0, 1, 2; customer 2 has 2.
BASKETS = [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (1, 2, 0), (2, 2, 0)]


def test_popularity_halves_with_each_half_life():
    past = past_of([(0, 0, 0), (0, 1, 24)])
    scores = fit_popular(past, Popular(half_life=1.0))(query_of(past))
    assert scores[0] == pytest.approx([0.5, 1.0], rel=0.05)


def test_popularity_may_count_each_customer_once():
    past = past_of([(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 3), (1, 1, 3)])
    assert fit_popular(past, Popular(float("inf"), once=True))(query_of(past))[0] == pytest.approx([0.5, 1.0])


def test_own_frequency_counts_sessions_and_lets_popularity_break_ties():
    # Item 0 twice within one session, item 1 in two sessions, item 2 never by this customer.
    past = past_of([(0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 1, 5), (1, 2, 5)])
    setting = Own(popular=0.5, popular_half_life=float("inf"))
    assert fit_own(past, setting)(query_of(past))[0] == pytest.approx([1.5, 2.5, 0.25])


def test_last_viewed_puts_the_latest_first():
    past = past_of([(0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 1, 3)])
    assert fit_recent(past, Recent())(query_of(past))[0] == pytest.approx([1 / 4, 1, 1 / 2])


def test_rules_follow_the_last_item_and_fall_with_distance():
    past = past_of([(0, 0, 0), (0, 1, 0), (0, 2, 0), (1, 0, 0)])
    assert fit_rules(past, Rules())(query_of(past, 1))[0] == pytest.approx([0, 1, 1 / 2])


def test_rules_of_sessions_do_not_cross_a_gap_and_those_of_customers_do():
    past = past_of([(0, 0, 0), (0, 1, 9), (1, 0, 0)])
    assert fit_rules(past, Rules())(query_of(past, 1)).max() == 0
    assert fit_rules(past, Rules(per_session=False))(query_of(past, 1))[0] == pytest.approx([0, 1])


def test_vstan_weighs_a_neighbour_by_likeness_age_and_position():
    past = past_of([(0, 0, 0), (0, 1, 0), (1, 0, 24)])
    setting = Vstan(k=1, snh=1.0, inh=1.0, ipw=1.0)
    query = query_of(past, 1)
    scores = fit_vstan(past, setting._replace(k=2))(query)
    # The older session shares 1 of its 2 items and ended 25 hours ago; item 1 is one step from the shared item.
    older = 1 / np.sqrt(2) * np.exp(-25 / 24)
    assert scores[0, 1] == pytest.approx(older * np.exp(-1), rel=1e-5)
    assert scores[0, 0] == pytest.approx(older + np.exp(-1 / 24), rel=1e-5)
    assert fit_vstan(past, setting)(query)[0, 1] == 0


def test_vstan_answers_the_same_when_asked_twice():
    past = past_of([(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (1, 2, 0)])
    model = fit_vstan(past, Vstan())
    assert np.array_equal(model(query_of(past)), model(query_of(past)))


def test_cosine_neighbours_of_two_items():
    past = past_of(BASKETS)
    scores = fit_knn(past, Knn(shrink=0.0))(query_of(past, 2))
    # Items 0 and 2 share 1 customer of 2 and 2.
    assert scores[0] == pytest.approx([0.5, 0.5, 0])
    assert fit_knn(past, Knn(shrink=0.0, with_self=True))(query_of(past, 2))[0, 2] == pytest.approx(1)
    assert fit_knn(past, Knn(shrink=2.0))(query_of(past, 2))[0, 0] == pytest.approx(0.25)


def test_rp3beta_walks_to_a_customer_and_on():
    past = past_of(BASKETS)
    # From item 2 with probability 1/2 to customer 1 and on with 1/3 each; item 0 has degree 2.
    assert fit_rp3beta(past, Rp3beta(1.0, 0.0))(query_of(past, 2))[0] == pytest.approx([1 / 6, 1 / 6, 0])
    assert fit_rp3beta(past, Rp3beta(1.0, 1.0))(query_of(past, 2))[0, 0] == pytest.approx(1 / 12)


def test_ease_solves_its_normal_equations():
    past = past_of(BASKETS)
    matrix = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 1]])
    inverse = np.linalg.inv(matrix.T @ matrix + np.eye(3))
    weight = -inverse / np.diag(inverse)
    np.fill_diagonal(weight, 0)
    assert fit_ease(past, Ease(1.0))(query_of(past))[0] == pytest.approx(matrix[0] @ weight, rel=1e-5)


def test_als_scores_what_others_with_the_same_items_have_above_what_they_do_not():
    rows = [(c, item, 0) for c in range(10) for item in ((0, 1) if c < 5 else (2, 3))]
    past = past_of([*rows, (10, 0, 0)])
    scores = fit_als(past, Als(4, 0.1, 10.0))(query_of(past, 10))[0]
    assert scores[1] > max(scores[2], scores[3])


def test_tifu_decays_within_and_between_groups_of_baskets():
    # Baskets of items 0, 1, 2 in groups of two from the end: {1, 2} and {0}.
    past = past_of([(0, 0, 0), (0, 1, 9), (0, 2, 18)])
    found = vectors(everyone(past.events), Tifu(m=2, within=0.5, between=0.1)).toarray()[0]
    assert found == pytest.approx([0.1 / 1 / 2, 0.5 / 2 / 2, 1 / 2 / 2])


def test_tifu_blends_the_own_vector_with_that_of_the_nearest_other_customer():
    past = past_of([(0, 0, 0), (1, 0, 0), (1, 1, 0), (2, 2, 0)])
    assert fit_tifu(past, Tifu(k=1, alpha=0.6))(query_of(past))[0] == pytest.approx([1, 0.4, 0])


def test_a_blend_scales_its_parts_to_a_largest_value_of_one():
    parts = [lambda _: np.array([[2.0, 1.0]], np.float32), lambda _: np.array([[0.0, 10.0]], np.float32)]
    past = past_of(BASKETS)
    assert fit_blend(past, Shares((1.0, 0.4)), parts)(query_of(past))[0] == pytest.approx([1.0, 0.9])


def test_a_list_hides_what_was_seen_and_ends_with_what_is_popular():
    past = past_of([*BASKETS, (2, 3, 0), (3, 3, 0), (3, 4, 0)], n_items=7)
    found = lists_of(fit_rules(past, Rules()), past, query_of(past), hide_seen=True)[0]
    # Item 2 follows item 1; of the others 3 is the more popular, and 5 and 6 were never there.
    assert found[:3].tolist() == [2, 3, 4]
    assert found[3:].tolist() == [-1] * (N - 3)


def test_no_baseline_tries_more_settings_than_the_budget_and_none_twice():
    for peer in PEERS.values():
        assert len(peer.settings) <= BUDGET
        assert len(set(peer.settings)) == len(peer.settings)
        assert set(peer.parts) <= set(PEERS)
