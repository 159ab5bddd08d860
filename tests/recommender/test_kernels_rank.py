"""The compiled loops between a pool and its slate, against the same in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.kernels_rank import (
    N_KINDS,
    best_rows,
    divided,
    few_of,
    loudest,
    on_common_scale,
    on_scale,
    places_without,
)

numbers = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.5, 2.0, np.inf, np.nan])


@given(st.lists(st.tuples(numbers, st.integers(0, N_KINDS - 1)), max_size=30), st.integers(1, 12), st.integers(1, 4))
def test_the_best_rows_of_all_and_of_each_kind_are_those_of_a_stable_sort(candidates, n, n_each) -> None:
    score, kind = np.array([one for one, _ in candidates], np.float32), np.array([of for _, of in candidates], np.uint8)
    item_idx = np.arange(len(score), dtype=np.int32)[::-1]
    kept = np.flatnonzero(~(score <= 0))

    def best(rows, most) -> set[int]:
        return {*rows[np.argsort(-score[rows], kind="stable")[:most]].tolist()}  # what is no number comes last

    wanted = best(kept, n).union(*(best(kept[kind[kept] == one], n_each) for one in range(N_KINDS)))
    found = best_rows(score, np.ascontiguousarray(item_idx), np.ascontiguousarray(kind[::-1]), n, n_each)
    assert found.tolist() == (sorted(wanted) if len(kept) > n else kept.tolist())


def test_scores_lie_on_the_line_of_their_kind_in_double_precision() -> None:
    kind, line = np.array([2, 0, 1], np.uint8), np.array([[-9, 1], [1, 2], [3, 4]], np.float32)
    raw = np.array([1e-9, 0.5], np.float32)
    score, intercept, slope = on_scale(raw, np.array([1, 2], np.int32), kind, line)
    assert score.tolist() == [-9 + float(raw[0]), 2.0]
    assert intercept.tolist() == [-9, 1]
    assert slope.tolist() == [1, 2]


@given(st.sets(st.integers(0, 30)), st.lists(st.integers(-1, 32), max_size=12))
def test_what_is_left_out_leaves_the_places_of_all_others(items, left_out) -> None:
    item_idx = np.array(sorted(items), np.int32)
    found = places_without(item_idx, np.array(left_out, np.int32))
    assert found.tolist() == [at for at, item in enumerate(sorted(items)) if item not in left_out]


@pytest.mark.parametrize(
    ("weights", "column"),
    [
        ([1.0, 3.0, 2.0], 2),  # the greatest says nothing by itself
        ([-1.0, 3.0, 0.0], 1),  # nothing else speaks for the item
        ([-1.0, -3.0, -2.0], 0),  # nothing does: the one that speaks least against it
        ([2.0, 1.0, 2.0], 0),  # the first of equals
        ([0.0, 0.0, 0.0], -1),
    ],
)
def test_what_speaks_for_an_item_is_heard_before_what_does_not(weights, column) -> None:
    speaks = np.array([True, False, True])
    assert loudest(np.array([weights]), speaks).tolist() == [column]


def test_few_parts_are_told_whole_and_of_many_those_that_speak_for_the_item() -> None:
    speaks = np.array([True, False, True, True])
    weights = np.array([[1.0, 3.0, 2.0, 0.0], [-1.0, 5.0, 2.0, -4.0], [0.0, 0.0, 0.0, 0.0]])
    column, value = few_of(weights, speaks, 2)
    assert column.tolist() == [[1, 2, 0], [2, 1, 4], [-1, -1, -1]]
    assert value.tolist() == [[3.0, 2.0, 1.0], [2.0, 5.0, -5.0], [0.0, 0.0, 0.0]]


def test_the_part_of_the_blend_is_divided_among_its_sources() -> None:
    parts = np.array([[0.0, 1.0, 0.5, 2.0, -3.0]], np.float32)  # two sources, own, the blend, the base
    shared = divided(parts, np.array([[0.125, 0.375]], np.float32), np.array([0.5], np.float32), 3, 4.0)
    assert shared.tolist() == [[1.0, 4.0, 0.5, 0.0, -3.0]]


@pytest.mark.parametrize(("lost", "parts"), [([], [1.0, -5.0]), ([9.0, 0.5], [1.0, -0.5, -5.0])])
def test_parts_lie_on_the_line_of_their_row(lost, parts) -> None:
    slope, intercept = np.array([7.0, 2.0], np.float32), np.array([7.0, -6.0], np.float32)
    raw = np.array([[0.5, 0.5]], np.float32)
    assert on_common_scale(raw, np.array([1], np.int32), slope, intercept, np.array(lost)).tolist() == [parts]
