"""Trees by hand: two stumps, one of which splits again."""

from __future__ import annotations

import numpy as np
import pytest

from features.errors import BundleCorrupt
from recommender.soundness import check_indices, check_trees
from recommender.trees import Trees

LAST = np.finfo(np.float32).max
ARRAYS = {
    "t.root": np.array([0, 5], np.int32),
    "t.depth": np.array([2, 1], np.int32),
    "t.feature": np.array([0, 0, 1, 0, 0, 1, 0, 0], np.int32),
    "t.left": np.array([1, 1, 3, 3, 4, 6, 6, 7], np.int32),
    "t.threshold": np.array([0.5, LAST, 2.0, LAST, LAST, 0.0, LAST, LAST], np.float32),
    "t.value": np.array([1, -1, 2, 1, 4, 0, -3, 3], np.float32),
}
ROWS = np.array([[0.5, 9], [0.6, 2], [1, 3]], np.float32)


def test_a_row_takes_the_left_child_up_to_the_threshold():
    assert Trees(ARRAYS, "t").score(ROWS).tolist() == [-1 + 3, 1 + 3, 4 + 3]


def test_what_the_features_add_sums_to_the_score():
    parts = Trees(ARRAYS, "t").explain(ROWS, np.array([0, 1], np.int32), 2)
    assert parts.tolist() == [[-2, 3, 1], [1, -1 + 3, 1], [1, 2 + 3, 1]]
    assert parts.sum(axis=1).tolist() == Trees(ARRAYS, "t").score(ROWS).tolist()


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
