"""Tables worked by hand: one over log2(rank + 1) is 1, 0.63093, 0.5, 0.43068, 0.38685 at ranks 1 to 5."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from training.metrics import (
    METRICS,
    average_precision,
    hit_rate,
    mean_interval,
    mean_intervals,
    mrr,
    ndcg,
    precision,
    recall,
)

HITS = np.array(
    [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 1, 0],
        [1, 1, 1, 1, 1],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
    ],
    np.bool_,
)
N_TARGETS = np.array([1, 3, 5, 2, 4])


def test_ndcg_at_five() -> None:
    wanted = [1.0, (0.63093 + 0.43068) / 2.13093, 1.0, 0.38685 / 1.63093, 0.0]
    np.testing.assert_allclose(ndcg(HITS, N_TARGETS, 5), wanted, atol=1e-5)


def test_ndcg_at_three_sees_three_ranks_and_hopes_for_three_targets() -> None:
    wanted = [1.0, 0.63093 / 2.13093, 1.0, 0.0, 0.0]
    np.testing.assert_allclose(ndcg(HITS, N_TARGETS, 3), wanted, atol=1e-5)


def test_a_slate_shorter_than_n_is_measured_against_n() -> None:
    np.testing.assert_allclose(ndcg(HITS[:, :1], N_TARGETS, 10)[2], 1 / 2.94846, atol=1e-5)
    assert recall(HITS[:, :1], N_TARGETS, 20)[2] == pytest.approx(1 / 5)


def test_recall_is_the_share_of_all_targets() -> None:
    assert recall(HITS, N_TARGETS, 5).tolist() == pytest.approx([1, 2 / 3, 1, 1 / 2, 0])
    assert recall(HITS, N_TARGETS, 2).tolist() == pytest.approx([1, 1 / 3, 2 / 5, 0, 0])


def test_hit_rate_asks_for_one() -> None:
    assert hit_rate(HITS, N_TARGETS, 5).tolist() == [1, 1, 1, 1, 0]
    assert hit_rate(HITS, N_TARGETS, 1).tolist() == [1, 0, 1, 0, 0]


def test_mrr_is_one_over_the_first_rank() -> None:
    assert mrr(HITS, N_TARGETS, 5).tolist() == pytest.approx([1, 1 / 2, 1, 1 / 5, 0])
    assert mrr(HITS, N_TARGETS, 4).tolist() == pytest.approx([1, 1 / 2, 1, 0, 0])


def test_precision_counts_empty_ranks_as_misses() -> None:
    assert precision(HITS, N_TARGETS, 5).tolist() == pytest.approx([1 / 5, 2 / 5, 1, 1 / 5, 0])
    assert precision(HITS[:, :1], N_TARGETS, 10).tolist() == pytest.approx([0.1, 0, 0.1, 0, 0])


def test_average_precision_is_the_mean_over_targets_of_the_precision_at_their_ranks() -> None:
    wanted = [1, (1 / 2 + 2 / 4) / 3, 1, (1 / 5) / 2, 0]
    assert average_precision(HITS, N_TARGETS, 5).tolist() == pytest.approx(wanted)
    assert average_precision(HITS, N_TARGETS, 2).tolist() == pytest.approx([1, (1 / 2) / 2, 1, 0, 0])


@pytest.mark.parametrize("name", METRICS)
def test_no_slots_and_no_targets_give_nought(name) -> None:
    assert METRICS[name](np.zeros((2, 0), np.bool_), np.array([1, 0])).tolist() == [0, 0]
    assert METRICS[name](np.zeros((0, 5), np.bool_), np.empty(0, np.int64)).tolist() == []


@st.composite
def cases(draw):
    n_cases, n = draw(st.integers(1, 6)), draw(st.integers(1, 25))
    hits = np.array(draw(st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n_cases, max_size=n_cases)))
    more = np.array(draw(st.lists(st.integers(0, 5), min_size=n_cases, max_size=n_cases)))
    return hits, hits.sum(axis=1) + more


@pytest.mark.parametrize("name", METRICS)
@given(case=cases())
def test_every_metric_lies_between_nought_and_one_and_no_hit_is_nought(name, case) -> None:
    hits, n_targets = case
    values = METRICS[name](hits, n_targets)
    assert values.dtype == np.float64
    assert ((values >= 0) & (values <= 1 + 1e-12)).all()
    cut = int(name.partition("@")[2])
    assert ((values > 0) == hits[:, :cut].any(axis=1)).all()


@pytest.mark.parametrize("name", METRICS)
@given(case=cases())
def test_moving_a_hit_up_never_lowers_a_metric(name, case) -> None:
    hits, n_targets = case
    sooner = np.sort(hits, axis=1)[:, ::-1]
    assert (METRICS[name](sooner, n_targets) >= METRICS[name](hits, n_targets) - 1e-12).all()


@given(case=cases())
def test_all_hits_first_and_all_targets_found_is_a_perfect_ndcg(case) -> None:
    hits, _ = case
    sooner = np.sort(hits, axis=1)[:, ::-1]
    n = hits.sum(axis=1)
    np.testing.assert_allclose(ndcg(sooner, n)[n > 0], 1)


def test_an_interval_holds_its_mean_and_is_the_same_each_time() -> None:
    values = np.random.default_rng(1).random(400)
    interval = mean_interval(values)
    assert interval == mean_interval(values)
    assert interval.mean == pytest.approx(values.mean())
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - half, rel=0.02)
    assert interval.high == pytest.approx(values.mean() + half, rel=0.02)


def test_equal_values_have_no_width_and_no_values_no_mean() -> None:
    assert mean_interval(np.full(10, 0.25)) == pytest.approx((0.25, 0.25, 0.25))
    assert all(math.isnan(bound) for bound in mean_interval(np.empty(0)))


def test_differences_of_columns_are_drawn_together() -> None:
    rng = np.random.default_rng(2)
    a, noise = rng.random(300), rng.normal(0, 0.01, 300)
    mine, theirs, between = mean_intervals(np.column_stack([a, a + noise, noise]))
    assert between.mean == pytest.approx(theirs.mean - mine.mean)
    assert between.high - between.low < (mine.high - mine.low) / 10


def test_cases_of_one_customer_are_drawn_together_and_say_less_than_as_many_customers() -> None:
    customers = np.repeat(np.arange(40), 25)
    values = np.repeat(np.random.default_rng(3).random(40), 25)[:, None]
    (alone,), (together,) = mean_intervals(values), mean_intervals(values, customers)
    assert together.mean == pytest.approx(alone.mean)
    assert together.high - together.low == pytest.approx(5 * (alone.high - alone.low), rel=0.2)


def test_one_case_a_customer_is_the_bootstrap_over_cases_whatever_their_names() -> None:
    values = np.random.default_rng(4).random((50, 2))
    assert mean_intervals(values, np.arange(100, 150)) == mean_intervals(values)


def test_no_cases_have_no_interval_in_any_column() -> None:
    assert len(mean_intervals(np.empty((0, 3)))) == 3


@given(case=cases())
def test_ndcg_is_what_scikit_learn_computes(case) -> None:
    hits, n_targets = case
    n, width = hits.shape[1], hits.shape[1] + int(n_targets.max(initial=0)) + 1
    for row, of in zip(hits, n_targets, strict=True):
        if of:
            # The ranking goes first, in order; what was missed has the lowest score of all.
            relevance = np.zeros(width)
            relevance[:n], relevance[n : n + of - row.sum()] = row, 1
            score = -np.arange(width, dtype=float)
            # Beyond the list nothing was ranked, so only the first n positions may count.
            cut = min(10, n)
            wanted = ndcg_score([relevance], [score], k=cut)
            ideal = sum(1 / math.log2(rank + 2) for rank in range(min(of, cut)))
            full = sum(1 / math.log2(rank + 2) for rank in range(min(of, 10)))
            assert ndcg(row[None], np.array([of]))[0] == pytest.approx(wanted * ideal / full)


@given(case=cases())
def test_average_precision_is_what_scikit_learn_computes_where_nothing_was_missed(case) -> None:
    hits, _ = case
    for row in hits[:, :20]:
        if row.any():
            wanted = average_precision_score(row, -np.arange(len(row), dtype=float))
            assert average_precision(row[None], np.array([row.sum()]))[0] == pytest.approx(wanted)


@given(case=cases())
def test_every_metric_is_what_walking_down_the_list_gives(case) -> None:
    hits, n_targets = case
    for row, of in zip(hits, n_targets, strict=True):
        ranks = [rank for rank, hit in enumerate(row.tolist(), 1) if hit]
        wanted = {
            "recall@20": sum(rank <= 20 for rank in ranks) / max(1, of),
            "hit_rate@20": float(any(rank <= 20 for rank in ranks)),
            "mrr@20": next((1 / rank for rank in ranks if rank <= 20), 0.0),
            "precision@10": sum(rank <= 10 for rank in ranks) / 10,
            "map@20": sum(at / rank for at, rank in enumerate(ranks, 1) if rank <= 20) / max(1, min(of, 20)),
        }
        for name, value in wanted.items():
            assert METRICS[name](row[None], np.array([of]))[0] == pytest.approx(value), name
