"""Lists of a catalogue of five items, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.beyond import (
    ALPHA,
    Profiles,
    beyond,
    calibration,
    coverage,
    diversity,
    gini,
    novelty,
    popularity_lift,
    user_coverage,
)

RANKED = np.array([[0, 1, 2], [0, 3, -1], [-1, -1, -1]])
CATEGORY = np.array([0, 0, 1, -1, 1])
N_CUSTOMERS_OF = np.array([8, 4, 2, 0, 1])
PAST = Profiles(np.array([0, 0, 0, 2]), np.array([0, 0, 2, 4]))
NOTHING = Profiles(np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_coverage_is_the_share_of_the_catalogue_in_any_list():
    assert coverage(RANKED, 5) == 4 / 5


def test_gini_weighs_what_is_shown_by_its_rank_among_all_items():
    # Shown 0, 1, 1, 1, 2 times: (-4*0 - 2*1 + 0*1 + 2*1 + 4*2) / (5 * 5).
    assert gini(RANKED, 5) == pytest.approx(8 / 25)


def test_gini_is_nought_where_all_are_shown_alike_and_near_one_where_one_takes_all():
    assert gini(np.arange(5)[:, None], 5) == pytest.approx(0)
    assert gini(np.zeros((9, 1), np.int64), 5) == pytest.approx(4 / 5)


def test_novelty_is_the_mean_surprise_of_the_slots_in_bits():
    # Of 16 customers 8, 4, 2, 8 and (nobody counts as one) 1 know the items shown: 1, 2, 3, 1 and 4 bits.
    assert novelty(RANKED, N_CUSTOMERS_OF, 16) == pytest.approx((1 + 2 + 3 + 1 + 4) / 5)


def test_diversity_is_the_share_of_pairs_of_different_categories():
    # Two of the three pairs differ; the second list has one item with a category and is left out.
    assert diversity(RANKED, CATEGORY) == pytest.approx(2 / 3)


def test_popularity_lift_compares_each_list_with_its_own_customers_past():
    # The first case alone has both: (8 + 4 + 2) / 3 shown, (8 + 8 + 2) / 3 known.
    assert popularity_lift(RANKED, PAST, N_CUSTOMERS_OF) == pytest.approx(14 / 18 - 1)


def test_calibration_is_the_smoothed_divergence_from_the_customers_own_mix():
    # The first case alone has both: p = (2/3, 1/3) touched and q = (2/3, 1/3) shown agree.
    assert calibration(RANKED, PAST, CATEGORY) == pytest.approx(0)
    # Only the second category is shown: q~ = (alpha 2/3, 1 - alpha + alpha 1/3).
    shown = np.array([[2, 4, -1]])
    own = Profiles(np.array([0, 0, 0]), np.array([0, 1, 2]))
    wanted = 2 / 3 * math.log(1 / ALPHA) + 1 / 3 * math.log((1 / 3) / (1 - ALPHA * 2 / 3))
    assert calibration(shown, own, CATEGORY) == pytest.approx(wanted)


def test_user_coverage_is_the_share_of_cases_with_anything_in_their_list():
    assert user_coverage(RANKED) == pytest.approx(2 / 3)


def test_where_there_is_nothing_to_measure_no_figure_is_claimed():
    empty = np.full((2, 3), -1)
    found = beyond(empty, NOTHING, CATEGORY, N_CUSTOMERS_OF, 16)
    assert (found.coverage, found.user_coverage) == (0, 0)
    assert all(math.isnan(figure) for figure in found[1:-1])
    none = beyond(np.zeros((0, 3), np.int64), NOTHING, np.zeros(0, np.int64), np.zeros(0, np.int64), 0)
    assert all(math.isnan(figure) for figure in none)


def test_all_figures_together_are_the_ones_apart():
    found = beyond(RANKED, PAST, CATEGORY, N_CUSTOMERS_OF, 16)
    assert found.gini == gini(RANKED, 5)
    assert found.popularity_lift == popularity_lift(RANKED, PAST, N_CUSTOMERS_OF)
    assert found.calibration == calibration(RANKED, PAST, CATEGORY)


lists = st.lists(st.lists(st.integers(-1, 4), min_size=3, max_size=3, unique=True), min_size=1, max_size=8)


@given(rows=lists, seed=st.integers(0, 2**16))
def test_shares_are_shares_and_a_divergence_is_never_below_nought(rows, seed):
    rng = np.random.default_rng(seed)
    ranked = np.array(rows)
    past = Profiles(rng.integers(0, len(ranked), 12), rng.integers(0, 5, 12))
    found = beyond(ranked, past, CATEGORY, N_CUSTOMERS_OF, 16)
    for share in (found.coverage, found.gini, found.diversity, found.user_coverage):
        assert math.isnan(share) or -1e-12 <= share <= 1
    assert math.isnan(found.calibration) or found.calibration >= -1e-12
    assert math.isnan(found.popularity_lift) or found.popularity_lift >= -1


@given(rows=lists)
def test_gini_is_the_mean_difference_over_twice_the_mean(rows):
    ranked = np.array(rows)
    shown = np.bincount(ranked[ranked >= 0], minlength=5)
    if shown.sum():
        differences = np.abs(shown[:, None] - shown[None, :]).mean()
        assert gini(ranked, 5) == pytest.approx(differences / (2 * shown.mean()))


@given(rows=lists)
def test_diversity_is_what_counting_pairs_one_by_one_gives(rows):
    shares = []
    for row in rows:
        of = [CATEGORY[item] for item in row if item >= 0 and CATEGORY[item] >= 0]
        pairs = [(a, b) for n, a in enumerate(of) for b in of[n + 1 :]]
        shares += [sum(a != b for a, b in pairs) / len(pairs)] if pairs else []
    found = diversity(np.array(rows), CATEGORY)
    assert found == pytest.approx(sum(shares) / len(shares)) if shares else math.isnan(found)
