"""Gradient-boosted trees as plain arrays: scored by a compiled loop, and explained by the path that a row takes.

The children of a node lie side by side, so a step is ``left[node] + (x > threshold[node])``; a leaf's threshold
is the greatest there is and its child is itself, so every path of a tree has the same length and needs no branches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from recommender.contract import ArraySpec
from recommender.kernels import COUNT, FLOATS_2D, INTS, OUT_FLOATS, OUT_FLOATS_2D, compiled
from recommender.kernels import FLOATS as FLOATS_1D

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector, IntVector

BLOCK = 8
"""Rows that walk a tree together: their steps do not wait for each other.

Nodes are unsigned, which halves the time of a step: a signed index is first looked at for being negative.
"""


@compiled(OUT_FLOATS(FLOATS_2D, INTS, INTS, INTS, FLOATS_1D, FLOATS_1D, INTS))
def score_rows(
    rows: FloatMatrix,
    root: IntVector,
    feature: IntVector,
    left: IntVector,
    threshold: FloatVector,
    value: FloatVector,
    depth: IntVector,
) -> FloatVector:
    """Sum of the leaf values of each row; shape (n_rows,)."""
    n = len(rows)
    total = np.zeros(n, np.float32)
    node = np.empty(BLOCK, np.uint32)
    for start in range(0, n, BLOCK):
        block = rows[start : start + BLOCK]
        for tree in range(len(root)):
            for i in range(len(block)):
                node[i] = root[tree]
            for _ in range(depth[tree]):
                for i in range(len(block)):
                    at = node[i]
                    is_above = block[np.uint32(i), np.uint32(feature[at])] > threshold[at]
                    node[i] = np.uint32(left[at]) + np.uint32(is_above)
            for i in range(len(block)):
                total[start + i] += value[node[i]]
    return total


@compiled(OUT_FLOATS_2D(FLOATS_2D, INTS, INTS, INTS, FLOATS_1D, FLOATS_1D, INTS, INTS, COUNT))
def explain_rows(
    rows: FloatMatrix,
    root: IntVector,
    feature: IntVector,
    left: IntVector,
    threshold: FloatVector,
    value: FloatVector,
    depth: IntVector,
    group: IntVector,
    n_groups: int,
) -> FloatMatrix:
    """What each group of features adds to the score of each row; shape (n_rows, n_groups + 1), the last the base."""
    parts = np.zeros((len(rows), n_groups + 1), np.float32)
    for i in range(len(rows)):
        for tree in range(len(root)):
            at = np.uint32(root[tree])
            parts[i, n_groups] += value[at]
            for _ in range(depth[tree]):
                column = np.uint32(feature[at])
                then = np.uint32(left[at]) + np.uint32(rows[i, column] > threshold[at])
                parts[i, np.uint32(group[column])] += value[then] - value[at]
                at = then
    return parts


class Trees:
    """An ensemble of regression trees.

    Attributes
    ----------
    root, depth : int32, shape (n_trees,)
        First node of each tree and its longest path.
    feature, left : int32, shape (n_nodes,)
        Column looked at, and the child taken when the value is not above the threshold; the other one follows it.
    threshold, value : float32, shape (n_nodes,)
        ``value`` is a leaf's value, and in a node the mean of what lies below it (Saabas 2014: the differences
        along a path sum to the leaf's value less the tree's mean).
    """

    arrays: ClassVar[Mapping[str, ArraySpec]] = {
        "root": ArraySpec("int32", 1),
        "feature": ArraySpec("int32", 1),
        "left": ArraySpec("int32", 1),
        "threshold": ArraySpec("float32", 1),
        "value": ArraySpec("float32", 1),
        "depth": ArraySpec("int32", 1),
    }

    def __init__(self, arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> None:
        root, feature, left, threshold, value, depth = (arrays[f"{prefix}.{name}"] for name in self.arrays)
        self._nodes = (root, feature, left, threshold, value, depth)

    def score(self, rows: FloatMatrix) -> FloatVector:
        """Sum of the trees for each row, float32, shape (n_rows,)."""
        return score_rows(rows, *self._nodes)  # type: ignore[arg-type]

    def explain(self, rows: FloatMatrix, group: IntVector, n_groups: int) -> FloatMatrix:
        """What each group of features adds, shape (n_rows, n_groups + 1); the last column is the base."""
        return explain_rows(rows, *self._nodes, group, n_groups)  # type: ignore[arg-type]
