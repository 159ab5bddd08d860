"""The arithmetic of the benchmarks: percentiles, the schedule of a constant rate, latency from the intended moment."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.arithmetic import LATE_S, MAX_LATE_SHARE, median, open_loop, percentile, schedule
from benchmarks.budgets import Row, Step, markdown, top


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        (list(range(1, 101)), 0.99, 99),
        (list(range(1, 201)), 0.99, 198),
        (list(range(1, 11)), 0.99, 10),
        ([7.0], 0.01, 7.0),
        ([1.0, 2.0], 0.0, 1.0),
        ([1.0, 2.0], 1.0, 2.0),
    ],
)
def test_a_percentile_is_the_nearest_rank(values, share, expected):
    assert percentile(values, share) == expected


def test_a_percentile_and_a_median_of_nothing_are_no_number():
    assert math.isnan(percentile([], 0.99))
    assert math.isnan(median([]))


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_at_least_the_share_of_all_values_do_not_exceed_the_percentile(values, share):
    found = percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


def test_a_median_of_an_even_number_lies_between_the_two_in_the_middle():
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert median([3.0, 1.0, 2.0]) == 2.0


def test_a_schedule_has_the_rate_times_the_seconds_and_starts_at_once():
    assert schedule(4, 1) == [0, 0.25, 0.5, 0.75]
    assert schedule(4, 1.1) == [0, 0.25, 0.5, 0.75, 1.0]
    assert len(schedule(333, 30)) == 9_990


@given(st.floats(0.5, 5_000), st.floats(0.1, 5))
def test_a_schedule_is_even_and_ends_before_the_time_is_up(rate, seconds):
    moments = schedule(rate, seconds)
    assert all(moment < seconds + 1e-6 for moment in moments)
    assert abs(len(moments) - rate * seconds) <= 1 + 1e-6
    assert moments == [number / rate for number in range(len(moments))]


def test_latency_counts_from_the_intended_moment_so_a_stall_hits_all_who_were_due_in_it():
    # The server stalls for 100 ms: requests that were due meanwhile leave later, and waited all the same.
    intended = [0.0, 0.01, 0.02, 0.03]
    found = open_loop(intended, intended, [0.1, 0.1, 0.1, 0.1])
    assert found.max_s == pytest.approx(0.1)
    assert found.p50_s == pytest.approx(0.08)
    assert found.rate == pytest.approx(40)
    assert not found.is_void


@pytest.mark.parametrize(("n_late", "is_void"), [(0, False), (1, False), (2, True)])
def test_a_run_is_void_when_the_generator_is_late_for_more_than_one_in_a_hundred(n_late, is_void):
    intended = schedule(100, 1)
    sent = [due + (2 * LATE_S if number < n_late else 0) for number, due in enumerate(intended)]
    found = open_loop(intended, sent, [begun + 0.001 for begun in sent])
    assert found.late_share == pytest.approx(n_late / 100)
    assert found.is_void is is_void
    assert MAX_LATE_SHARE == 0.01


def test_an_empty_run_has_no_numbers():
    found = open_loop([], [], [])
    assert found.n == 0
    assert math.isnan(found.max_s)
    assert found.rate == 0


def test_the_dearest_steps_are_named_and_a_missed_budget_says_so():
    assert top([Step("a", 1), Step("b", 30), Step("c", 20)], 2) == "most in b 30 µs, c 20 µs"
    text = markdown([Row("x", "≤ 1", "2", is_met=False), Row("y", "≤ 1", "?", is_met=None)], [Step("a", 1.4)])
    assert "| x | ≤ 1 | 2 | missed |  |" in text
    assert "| y | ≤ 1 | ? | – |  |" in text
    assert "| a | 1 |" in text
