from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.journey import Journey
from features.journey_file import Kinds
from recommender.compose import in_order, mixed
from recommender.items import KINDS

MIX = {stage: np.array(shares) for stage, shares in Journey.load(None).mix.items()}
stages = st.sampled_from(sorted(MIX))
candidates = st.dictionaries(
    st.integers(0, 50), st.tuples(st.sampled_from([0.1, 0.2, 0.5, 1.0]), st.integers(0, 2)), max_size=30
)
limits = st.integers(1, 12)


def columns(found):
    item_idx = np.array(sorted(found), np.int32)
    score = np.array([found[row][0] for row in sorted(found)], np.float32)
    kind = np.array([found[row][1] for row in sorted(found)], np.int32)
    return score, item_idx, kind


def test_the_best_come_first_and_ties_by_item() -> None:
    score, item_idx = np.array([0.5, 1, 0.5, 0.1], np.float32), np.array([9, 4, 3, 1], np.int32)
    assert item_idx[in_order(score, item_idx, 3)].tolist() == [4, 3, 9]


def test_kinds_take_turns_by_their_shares() -> None:
    kind = np.repeat([0, 1, 2], 10)
    item_idx = np.arange(30, dtype=np.int32)
    score = np.ones(30, np.float32)
    chosen = mixed(score, item_idx, kind, np.array([0.4, 0.3, 0.3]), 10)
    # Worked by hand: whoever lags most behind what its share promises; ties to the larger.
    assert kind[chosen].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]


def test_scores_of_different_kinds_are_not_compared() -> None:
    kind = np.array([0, 0, 1])
    chosen = mixed(np.array([1, 0.9, 0.001], np.float32), np.array([1, 2, 3], np.int32), kind, MIX["awareness"], 2)
    assert kind[chosen].tolist() == [0, 1]


def test_a_kind_that_runs_out_is_passed_over() -> None:
    kind = np.array([0, 0, 0, 0, 1])
    chosen = mixed(np.ones(5, np.float32), np.arange(5, dtype=np.int32), kind, MIX["awareness"], 5)
    assert sorted(chosen.tolist()) == [0, 1, 2, 3, 4]


def test_a_kind_without_a_share_comes_only_when_the_others_have_run_out() -> None:
    kind = np.array([0, 1, 1, 2])
    chosen = mixed(np.array([9, 1, 1, 1], np.float32), np.arange(4, dtype=np.int32), kind, np.array([0, 0.5, 0.5]), 4)
    assert kind[chosen].tolist() == [1, 2, 1, 0]


def test_the_definition_names_the_kinds_in_the_order_of_the_catalogue() -> None:
    assert Kinds.__struct_fields__ == KINDS


@pytest.mark.parametrize("stage", sorted(MIX))
def test_a_stages_shares_sum_to_one(stage) -> None:
    assert len(MIX[stage]) == len(KINDS)
    assert sum(MIX[stage]) == pytest.approx(1)


@given(candidates, stages, limits)
def test_a_mix_has_no_duplicate_and_as_many_as_there_are(found, stage, limit) -> None:
    chosen = mixed(*columns(found), MIX[stage], limit).tolist()
    assert len(set(chosen)) == len(chosen) == min(limit, len(found))


@given(candidates, stages, limits)
def test_within_a_kind_the_best_come_first(found, stage, limit) -> None:
    score, item_idx, kind = columns(found)
    chosen = mixed(score, item_idx, kind, MIX[stage], limit)
    for one in range(len(KINDS)):
        taken = [(-score[at], item_idx[at]) for at in chosen if kind[at] == one]
        every = sorted((-score[at], item_idx[at]) for at in range(len(score)) if kind[at] == one)
        assert taken == every[: len(taken)]


@given(stages, st.integers(1, 30))
def test_no_kind_strays_further_than_one_slot_from_its_share(stage, limit) -> None:
    kind = np.repeat([0, 1, 2], 40)
    chosen = mixed(np.ones(120, np.float32), np.arange(120, dtype=np.int32), kind, MIX[stage], limit)
    given_out = np.bincount(kind[chosen], minlength=3)
    assert (np.abs(given_out - limit * MIX[stage]) < 1 + 1e-9).all()


@given(candidates, limits)
def test_the_order_is_that_of_a_full_sort(found, limit) -> None:
    score, item_idx, _ = columns(found)
    chosen = in_order(score, item_idx, limit)
    assert item_idx[chosen].tolist() == [row for _, row in sorted(zip(-score, item_idx, strict=True))][:limit]
