"""Gradient-boosted trees as plain arrays: scored by bits, and explained by the path that a row takes.

The children of a node lie side by side, so a step is ``left[node] + (x > threshold[node])``; a leaf's threshold
is the greatest there is and its child is itself, so every path of a tree has the same length and needs no branches.

To score, no path is walked (QuickScorer: Lucchese et al., SIGIR 2015, and with SIMD over rows, SIGIR 2016). A tree's
leaves are the bits of a word, the leftmost the lowest. A node whose feature is above its threshold clears the leaves
below its left child; the lowest bit that is left is the row's leaf. Each node is so one comparison for many rows at
once, in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import numpy as np
from numba import types

from recommender.contract import ArraySpec
from recommender.kernels import COUNT, FLOATS_2D, INTS, LONGS, OUT_FLOATS, OUT_FLOATS_2D, compiled, read_only
from recommender.kernels import FLOATS as FLOATS_1D

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector, IntVector, LongVector

    Words = NDArray[np.uint32]

MAX_LEAVES: Final = 32
"""Bits of a word."""
EVERY_LEAF: Final = 0xFFFF_FFFF
DE_BRUIJN: Final = 0x077C_B531
"""Every five bits of it differ: the first five of its product with a power of two tell which one that is."""
SHIFT: Final = 27
_WORDS: Final = read_only(types.uint32)


@compiled(types.uint32(types.uint32))
def slot_of(word: np.uint32) -> np.uint32:
    """A number of ``[0, 32)`` for the lowest bit of a word, another one for each (Leiserson, Prokop, Randall 1998)."""
    lowest = np.uint32(word & np.uint32(-word))
    return np.uint32(np.uint32(lowest * np.uint32(DE_BRUIJN)) >> np.uint32(SHIFT))


@compiled(OUT_FLOATS(FLOATS_2D, LONGS, INTS, FLOATS_1D, _WORDS, FLOATS_1D))
def score_columns(
    columns: FloatMatrix,
    bounds: LongVector,
    feature: IntVector,
    threshold: FloatVector,
    kept: Words,
    value: FloatVector,
) -> FloatVector:
    """Sum of the leaf values of each row, shape (n_rows,); ``columns`` of shape (n_features, n_rows).

    Two splits at once read and write the words half as often as one at a time.
    """
    n = columns.shape[1]
    total, words = np.zeros(n, np.float32), np.empty(n, np.uint32)
    every = np.uint32(EVERY_LEAF)
    for tree in range(len(bounds) - 1):
        words[:] = every
        for at in range(bounds[tree], bounds[tree + 1], 2):
            # What the loop would read again and again, in case it has written to it, keeps it from being SIMD.
            one, first_above, first_kept = columns[np.uint32(feature[at])], threshold[at], kept[at]
            two, second_above, second_kept = columns[np.uint32(feature[at + 1])], threshold[at + 1], kept[at + 1]
            for i in range(n):
                words[i] &= (first_kept if one[i] > first_above else every) & (
                    second_kept if two[i] > second_above else every
                )
        for i in range(n):
            total[i] += value[tree * MAX_LEAVES + np.int64(slot_of(words[i]))]
    return total


@compiled(OUT_FLOATS_2D(FLOATS_2D, INTS, INTS, INTS, FLOATS_1D, FLOATS_1D, INTS, INTS, COUNT))
def explain_columns(
    columns: FloatMatrix,
    root: IntVector,
    feature: IntVector,
    left: IntVector,
    threshold: FloatVector,
    value: FloatVector,
    depth: IntVector,
    group: IntVector,
    n_groups: int,
) -> FloatMatrix:
    """What each group of features adds to the score of each row; shape (n_rows, n_groups + 1), the last the base.

    Rows walk a tree together, so that their steps do not wait for each other. Nodes are unsigned: a signed index is
    first looked at for being negative.
    """
    n = columns.shape[1]
    parts, node = np.zeros((n, n_groups + 1), np.float32), np.empty(n, np.uint32)
    for tree in range(len(root)):
        node[:] = np.uint32(root[tree])
        parts[:, n_groups] += value[root[tree]]
        for _ in range(depth[tree]):
            for i in range(n):
                at = node[i]
                column = np.uint32(feature[at])
                then = np.uint32(left[at]) + np.uint32(columns[column, np.uint32(i)] > threshold[at])
                parts[np.uint32(i), np.uint32(group[column])] += value[then] - value[at]
                node[i] = then
    return parts


class Splits(NamedTuple):
    """The inner nodes of an ensemble, tree after tree, an even number of each.

    Attributes
    ----------
    bounds : int64, shape (n_trees + 1,)
    feature, threshold : int32 and float32, shape (n_splits,)
    kept : uint32, shape (n_splits,)
        Leaves that are not below the left child: what is possible where the feature is above the threshold.
    value : float32, shape (32 n_trees,)
        Of each leaf, by tree and :func:`slot_of` its bit.
    """

    bounds: LongVector
    feature: IntVector
    threshold: FloatVector
    kept: Words
    value: FloatVector

    @classmethod
    def of(
        cls, root: IntVector, feature: IntVector, left: IntVector, threshold: FloatVector, value: FloatVector
    ) -> Splits:
        """Of nodes as :class:`Trees` holds them, each tree of at most 32 leaves."""
        splits: list[tuple[int, float, int]] = []
        bounds, leaf_values = [0], np.zeros((len(root), MAX_LEAVES), np.float32)
        children, of_node = left.tolist(), list(zip(feature.tolist(), threshold.tolist(), strict=True))
        slots = [int(slot_of(np.uint32(1 << bit))) for bit in range(MAX_LEAVES)]

        def below(node: int, tree: int, first: int) -> int:
            """How many leaves lie below a node whose leftmost leaf is ``first``."""
            child = children[node]
            if child == node:
                leaf_values[tree, slots[first]] = value[node]
                return 1
            n_left = below(child, tree, first)
            cleared = ((1 << n_left) - 1) << first
            splits.append((*of_node[node], EVERY_LEAF & ~cleared))
            return n_left + below(child + 1, tree, first + n_left)

        for tree, node in enumerate(root.tolist()):
            below(node, tree, 0)
            splits += [(0, 0.0, EVERY_LEAF)] * (len(splits) % 2)
            bounds.append(len(splits))
        features, thresholds, words = zip(*splits, strict=True) if splits else ((), (), ())
        return cls(
            np.array(bounds, np.int64),
            np.array(features, np.int32),
            np.array(thresholds, np.float32),
            np.array(words, np.uint32),
            leaf_values.reshape(-1),
        )


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
        self._splits = Splits.of(root, feature, left, threshold, value)  # type: ignore[arg-type]

    def score(self, columns: FloatMatrix) -> FloatVector:
        """Sum of the trees for each row, float32, shape (n_rows,); ``columns`` of shape (n_features, n_rows)."""
        return score_columns(columns, *self._splits)

    def explain(self, columns: FloatMatrix, group: IntVector, n_groups: int) -> FloatMatrix:
        """What each group of features adds, shape (n_rows, n_groups + 1); the last column is the base."""
        return explain_columns(columns, *self._nodes, group, n_groups)  # type: ignore[arg-type]
