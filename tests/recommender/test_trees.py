"""Trees by hand: two stumps, one of which splits again."""

from __future__ import annotations

import numpy as np
import pytest

from features.errors import BundleCorrupt
from recommender.soundness import check_indices, check_trees
from recommender.trees import EVERY_LEAF, MAX_LEAVES, Trees, slot_of

LAST = np.finfo(np.float32).max
ARRAYS = {
    "t.root": np.array([0, 5], np.int32),
    "t.depth": np.array([2, 1], np.int32),
    "t.feature": np.array([0, 0, 1, 0, 0, 1, 0, 0], np.int32),
    "t.left": np.array([1, 1, 3, 3, 4, 6, 6, 7], np.int32),
    "t.threshold": np.array([0.5, LAST, 2.0, LAST, LAST, 0.0, LAST, LAST], np.float32),
    "t.value": np.array([1, -1, 2, 1, 4, 0, -3, 3], np.float32),
}
COLUMNS = np.array([[0.5, 0.6, 1], [9, 2, 3]], np.float32)
"""Three rows of two features."""


def test_a_row_takes_the_left_child_up_to_the_threshold():
    assert Trees(ARRAYS, "t").score(COLUMNS).tolist() == [-1 + 3, 1 + 3, 4 + 3]


def test_what_the_features_add_sums_to_the_score():
    parts = Trees(ARRAYS, "t").explain(COLUMNS, np.array([0, 1], np.int32), 2)
    assert parts.tolist() == [[-2, 3, 1], [1, -1 + 3, 1], [1, 2 + 3, 1]]
    assert parts.sum(axis=1).tolist() == Trees(ARRAYS, "t").score(COLUMNS).tolist()


def test_each_bit_of_a_word_has_a_slot_of_its_own_whatever_is_above_it():
    words = [1 << bit for bit in range(MAX_LEAVES)]
    slots = [int(slot_of(np.uint32(word))) for word in words]
    assert sorted(slots) == list(range(MAX_LEAVES))
    assert [int(slot_of(np.uint32(EVERY_LEAF & -word))) for word in words] == slots


def chain_of(n_leaves):
    """One tree that asks for ever greater values: leaf ``i`` is worth ``i``, its path ``i + 1`` long."""
    nodes = range(n_leaves - 1)
    feature = [0] * (2 * n_leaves - 1)
    left, threshold, value = list(range(len(feature))), [LAST] * len(feature), [0.0] * len(feature)
    for n in nodes:
        at = 2 * n
        left[at], threshold[at], value[at + 1], value[at + 2] = at + 1, n + 0.5, float(n), float(n + 1)
    columns = (("feature", feature, np.int32), ("left", left, np.int32), ("threshold", threshold, np.float32))
    arrays = {f"t.{name}": np.array(values, kind) for name, values, kind in (*columns, ("value", value, np.float32))}
    return arrays | {"t.root": np.zeros(1, np.int32), "t.depth": np.array([n_leaves - 1], np.int32)}


@pytest.mark.parametrize("n_leaves", [1, 2, 3, 31, MAX_LEAVES])
def test_every_leaf_of_a_lopsided_tree_is_found(n_leaves):
    arrays = chain_of(n_leaves)
    check_trees(arrays, "t", 1)
    columns = np.arange(n_leaves, dtype=np.float32)[None]
    assert Trees(arrays, "t").score(columns).tolist() == list(range(n_leaves))


def test_a_tree_of_more_leaves_than_a_word_has_bits_is_refused():
    with pytest.raises(BundleCorrupt, match="t: expected trees of at most 32 leaves"):
        check_trees(chain_of(MAX_LEAVES + 1), "t", 1)


def test_no_trees_and_no_rows_score_nothing():
    assert Trees({name: array[:0] for name, array in ARRAYS.items()}, "t").score(COLUMNS).tolist() == [0, 0, 0]
    assert not len(Trees(ARRAYS, "t").score(COLUMNS[:, :0]))


def test_sound_trees_pass():
    check_trees(ARRAYS, "t", 2)


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [("left", 0, 0), ("left", 0, 8), ("left", 2, 1), ("feature", 0, 2), ("root", 1, 8), ("depth", 0, -1)],
)
def test_a_path_that_does_not_end_within_the_nodes_is_refused(name, at, value):
    broken = {key: array.copy() for key, array in ARRAYS.items()}
    broken[f"t.{name}"][at] = value
    with pytest.raises(BundleCorrupt, match="t: expected trees"):
        check_trees(broken, "t", 2)


@pytest.mark.parametrize(
    ("item_idx", "indptr"), [([0, 3], [0, 2]), ([0, -1], [0, 2]), ([0, 1], [0, 1]), ([0, 1], [1, 2]), ([0], [0, 2, 1])]
)
def test_indices_that_point_to_nothing_are_refused(item_idx, indptr):
    arrays = {"x.item_idx": np.array(item_idx, np.int32), "x.indptr": np.array(indptr, np.int64)}
    with pytest.raises(BundleCorrupt, match=r"x\."):
        check_indices(arrays, 3)
