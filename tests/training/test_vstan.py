"""Sessions as a fit cuts them. Items are rows 0, 1, 2 …; times are minutes before the cut-off."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import DAY_US
from recommender.kernels_session import MAX_SESSION_ITEMS
from recommender.retrievers.vstan import Vstan, VstanParams
from tests.training.test_fitting import UNTIL, touches
from training.fitting.vstan import MAX_DAYS, VSTAN_GRID, fit_vstan

MINUTES_A_DAY = 24 * 60


def log(*rows: tuple[int, int, float], touch: str = "views"):
    return touches(*((customer, item, touch, minutes / MINUTES_A_DAY) for customer, item, minutes in rows))


def sessions(arrays) -> list[list[int]]:
    bounds = arrays["vstan.sessions.indptr"].tolist()
    return [arrays["vstan.sessions.item_idx"][a:b].tolist() for a, b in pairwise(bounds)]


def sessions_of_items(arrays) -> list[list[int]]:
    bounds = arrays["vstan.indptr"].tolist()
    return [arrays["vstan.session"][a:b].tolist() for a, b in pairwise(bounds)]


def test_a_pause_or_another_customer_begins_a_session_and_the_latest_to_end_comes_last() -> None:
    arrays = fit_vstan(log((0, 0, 90), (0, 1, 61), (0, 2, 30), (0, 0, 9), (1, 3, 80), (1, 0, 70)), 5, VstanParams())
    assert sessions(arrays) == [[3, 0], [0, 1], [2, 0]]
    assert sessions_of_items(arrays) == [[2, 1, 0], [1], [2], [0], []]
    assert arrays["vstan.sessions.day"].tolist() == [UNTIL // DAY_US - 1] * 3
    assert arrays["vstan.idf"].tolist() == pytest.approx([0, np.log(3), np.log(3), np.log(3), np.log(3)])


def test_a_session_lists_each_item_once_by_its_last_touch() -> None:
    assert sessions(fit_vstan(log((0, 1, 40), (0, 0, 30), (0, 2, 20), (0, 1, 10)), 3, VstanParams())) == [[0, 2, 1]]


def test_a_longer_pause_makes_longer_sessions() -> None:
    rows = log((0, 0, 200), (0, 1, 100), (0, 2, 1))
    assert fit_vstan(rows, 3, VstanParams()) == {}
    assert sessions(fit_vstan(rows, 3, VstanParams(gap_minutes=120))) == [[0, 1, 2]]


def test_a_long_session_keeps_its_last_items() -> None:
    rows = log(*((0, item, 100 - item) for item in range(MAX_SESSION_ITEMS + 5)))
    assert sessions(fit_vstan(rows, MAX_SESSION_ITEMS + 5, VstanParams())) == [list(range(5, MAX_SESSION_ITEMS + 5))]


def test_an_item_lists_no_more_sessions_than_a_query_samples() -> None:
    rows = log(*((customer, item, customer + 1 - item / 2) for customer in range(5) for item in (0, 1)))
    assert sessions_of_items(fit_vstan(rows, 2, VstanParams(sample_size=2))) == [[4, 3], [4, 3]]


@pytest.mark.parametrize(
    "rows",
    [
        log((0, 0, 9), (0, 0, 8)),  # one item
        log((0, 0, 9), (1, 1, 8)),  # two customers
        log((-1, 0, 9), (-1, 1, 8)),  # nobody
        log((0, 0, 9), (0, 1, 8), touch="uncarts"),
        log((0, 0, 9 + (MAX_DAYS + 1) * MINUTES_A_DAY), (0, 1, 8 + (MAX_DAYS + 1) * MINUTES_A_DAY)),
        touches(),
    ],
)
def test_what_is_no_session_leaves_no_source(rows) -> None:
    assert fit_vstan(rows, 2, VstanParams()) == {}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 300)), min_size=1, max_size=60),
    st.sampled_from(VSTAN_GRID),
)
def test_both_directions_hold_the_same_sessions(rows, params) -> None:
    arrays = fit_vstan(log(*rows), 6, params)
    if arrays:
        held = sessions(arrays)
        assert all(len(set(items)) == len(items) > 1 for items in held)
        for item, of_item in enumerate(sessions_of_items(arrays)):
            assert of_item == [s for s in range(len(held))[::-1] if item in held[s]]
        assert set(arrays) == set(Vstan.arrays)
