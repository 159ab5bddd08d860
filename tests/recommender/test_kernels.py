"""Compiled loops against the plain way to say the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.journey import Journey
from recommender.compose import in_order, mixed
from recommender.contract import TOUCHES
from recommender.items import KINDS
from recommender.kernels import EVERYTHING, best_of, first_of, united
from recommender.kernels_compose import best_places
from recommender.kernels_history import distinct, last_seeds
from recommender.kernels_rules import BUYS, CARTS, CONTENT, READS, UNCARTS

scores = st.floats(width=32) | st.sampled_from([0.0, -0.0, 0.5, 0.5, 1.0, 2.0**-149, np.inf, np.nan])
ranked = st.dictionaries(st.integers(0, 2**31 - 1), scores, max_size=40)
items = st.lists(st.integers(0, 9), max_size=12)
MIX = {stage: np.array(shares) for stage, shares in Journey.load(None).mix.items()}


def columns(found):
    return np.array(list(found), np.int32), np.array(list(found.values()), np.float32)


@given(ranked, st.integers(0, 50))
def test_the_best_are_positive_finite_and_ordered_by_score_and_then_by_item(found, n) -> None:
    item_idx, score = best_of(*columns(found), n)
    can_be = [(-value, item) for item, value in found.items() if 0 < value < np.inf]
    wanted = sorted(can_be)[:n]
    assert item_idx.tolist() == [item for _, item in wanted]
    assert score.tolist() == [-value for value, _ in wanted]


@given(st.lists(st.integers(0, 30), unique=True), st.sets(st.integers(0, 30)), st.integers(0, 12))
def test_the_first_of_a_list_keep_their_order(listed, forbidden, n) -> None:
    allowed = np.array([item not in forbidden for item in range(31)])
    item_idx, score = np.array(listed, np.int32), np.arange(len(listed), 0, -1).astype(np.float32)
    kept, values = first_of(item_idx, score, allowed, n)
    assert kept.tolist() == [item for item in listed if item not in forbidden][:n]
    assert values.tolist() == [score[listed.index(item)] for item in kept.tolist()]
    assert first_of(item_idx, score, EVERYTHING, n)[0].tolist() == listed[:n]


@given(st.lists(st.integers(0, 20), unique=True), st.integers(21, 40))
def test_a_union_is_ascending_whatever_the_number_of_items(listed, n_items) -> None:
    item_idx, bounds = np.array([*listed, n_items - 1], np.int32), np.array([0, len(listed), len(listed) + 1])
    found, parts, best = united(item_idx, np.ones(len(item_idx), np.float32), bounds, n_items)
    assert found.tolist() == sorted({*listed, n_items - 1})
    assert parts.sum() == len(item_idx)
    assert best.tolist() == [float(bool(listed)), 1]


@given(ranked, st.integers(0, 50))
def test_places_are_those_of_a_sort_with_what_is_no_number_last(found, n) -> None:
    item_idx, score = columns(found)
    wanted = np.lexsort((item_idx, -score.astype(np.float64)))[:n]
    assert best_places(score.astype(np.float64), item_idx, n).tolist() == wanted.tolist()
    assert in_order(score, item_idx, n).tolist() == wanted.tolist()


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 2)), max_size=40), st.sampled_from([*MIX]))
def test_a_shorter_mix_is_the_beginning_of_a_longer_one(found, stage) -> None:
    score, kind = np.array([s for s, _ in found]), np.array([k for _, k in found], np.int32)
    item_idx = np.arange(len(found), dtype=np.int32)
    whole = mixed(score, item_idx, kind, MIX[stage], len(found)).tolist()
    assert mixed(score, item_idx, kind, MIX[stage], 7).tolist() == whole[:7]
    for k in range(len(KINDS)):
        of_kind = [place for place in whole if kind[place] == k]
        assert of_kind == sorted(of_kind, key=lambda place: (-score[place], place))


@given(items, items, items)
def test_distinct_items_are_ascending(a, b, c) -> None:
    found = distinct(*(np.array(x, np.int32) for x in (a, b, c)))
    assert found.tolist() == sorted({*a, *b, *c})


@given(items, items, st.integers(1, 6))
def test_seeds_are_the_anchors_and_then_the_newest_with_all_that_was_done(anchors, touched, n) -> None:
    counts = np.arange(len(touched) * len(TOUCHES), dtype=np.int32).reshape(-1, len(TOUCHES))
    strength = np.array([1, 2, 2, 3, -3, 1], np.int64)
    seeds, done, n_anchors = last_seeds(np.array(anchors, np.int32), np.array(touched, np.int32), counts, strength, n)
    assert seeds.tolist() == list(dict.fromkeys([*anchors, *touched[::-1]]))[:n]
    assert n_anchors == min(n, len(set(anchors)))
    assert done.tolist() == [sum((counts[np.array(touched, int) == seed] @ strength).tolist()) for seed in seeds]


def test_columns_of_the_loops_are_those_of_a_query() -> None:
    assert [TOUCHES[column] for column in (READS, CARTS, UNCARTS, BUYS)] == ["reads", "carts", "uncarts", "buys"]
    assert KINDS[CONTENT] == "content"
