"""What compiled loops rely on, checked when a bundle is opened: indices that point to something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.errors import BundleCorrupt
from recommender.trees import MAX_LEAVES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]


SHAPES: Final = {"ranker.slope": (1,), "ranker.n_sources": (1,), "ranker.serves": (2, 2)}


def check_indices(arrays: Arrays, n_items: int) -> None:
    """See that rows of items and pointers into rows stay within what they point into.

    By their names: ``*item_idx`` are rows of the catalogue, and ``*indptr`` divides the array of the same
    prefix that ends in ``item_idx``.

    Raises
    ------
    BundleCorrupt
        The message names the array.
    """
    for name, array in arrays.items():
        if name.endswith("item_idx") and not _within(array, n_items):
            raise BundleCorrupt(f"{name}: expected rows of {n_items} items.")
        if name.endswith("indptr"):
            edges = arrays.get(name.removesuffix("indptr") + "item_idx")
            _check_pointers(name, array, None if edges is None else len(edges))


def check_shapes(arrays: Arrays) -> None:
    """See that what is read of a ranker by its place is there.

    Raises
    ------
    BundleCorrupt
        The message names the array.
    """
    for name, shape in SHAPES.items():
        if name in arrays and arrays[name].shape != shape:
            raise BundleCorrupt(f"{name}: expected shape {shape}, got {arrays[name].shape}.")


def check_trees(arrays: Arrays, prefix: str, n_features: int) -> None:
    """See that every path of the trees ends, within the nodes and the features that there are, at one of few leaves.

    Raises
    ------
    BundleCorrupt
    """
    root, depth, feature, left = (arrays[f"{prefix}.{name}"] for name in ("root", "depth", "feature", "left"))
    n = len(feature)
    own = np.arange(n)
    is_leaf = left == own
    is_sound = (
        len({len(arrays[f"{prefix}.{name}"]) for name in ("feature", "left", "threshold", "value")}) == 1
        and _within(root, n)
        and _within(feature, n_features)
        and _within(left, n)
        and bool((is_leaf | ((left > own) & (left < n - 1))).all())
        and bool(((arrays[f"{prefix}.threshold"] == np.finfo(np.float32).max)[is_leaf]).all())
        and len(depth) == len(root)
        and bool(((depth >= 0) & (depth <= n)).all())
    )
    if not is_sound:
        raise BundleCorrupt(f"{prefix}: expected trees whose paths end within their nodes.")
    n_leaves = np.ones(n, np.int64)
    for node in np.flatnonzero(~is_leaf)[::-1].tolist():
        n_leaves[node] = min(MAX_LEAVES + 1, n_leaves[left[node]] + n_leaves[left[node] + 1])
    if n_leaves[root].max(initial=0) > MAX_LEAVES:
        raise BundleCorrupt(f"{prefix}: expected trees of at most {MAX_LEAVES} leaves.")


def _within(array: NDArray[Any], n: int) -> bool:
    return not len(array) or (int(array.min()) >= 0 and int(array.max()) < n)


def _check_pointers(name: str, pointers: NDArray[Any], n_edges: int | None) -> None:
    ends = int(pointers[-1]) if len(pointers) else 0
    ascending = len(pointers) == 0 or (int(pointers[0]) == 0 and bool((np.diff(pointers) >= 0).all()))
    if not ascending or (n_edges is not None and ends != n_edges):
        raise BundleCorrupt(f"{name}: expected ascending pointers from 0 to the number of edges.")
