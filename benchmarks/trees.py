"""What it takes to score a request's candidates with trees: our loop, LightGBM's own, and NumPy.

``python -m benchmarks.trees`` trains on made-up rows and prints the fastest of many rounds of each, in one run.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import lightgbm
import numpy as np
from rich.console import Console
from rich.table import Table

from recommender.ranker import N_RANKED
from recommender.trees import Trees
from training.ranking import PARAMS, Boosted, arrays_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

N_FEATURES: Final = 80
N_CASES: Final = 400
SHAPES: Final = ((15, 100), (31, 100), (31, 200))
"""Leaves of a tree, and trees."""


def main() -> None:
    """Print a row a shape."""
    table = Table("leaves", "trees", "ours, µs", "LightGBM, µs", "NumPy, µs", "explaining 8, µs")
    for leaves, n_trees in SHAPES:
        booster, rows = made(leaves, n_trees)
        arrays = arrays_of(Boosted(booster, 0.0, 0), 1, np.ones((2, 2), np.bool_))
        columns = np.ascontiguousarray(rows.T)
        trees, group = Trees(arrays, "ranker"), np.arange(N_FEATURES, dtype=np.int32)
        took = (
            fastest_us(partial(trees.score, columns)),
            fastest_us(partial(booster.predict, rows, num_threads=1)),
            fastest_us(partial(by_numpy, arrays, rows), rounds=5),
            fastest_us(partial(trees.explain, columns[:, :8].copy(), group, N_FEATURES)),
        )
        table.add_row(str(leaves), str(n_trees), *(f"{us:,.0f}" for us in took))
    Console().print(table)


def made(leaves: int, n_trees: int, seed: int = 0) -> tuple[Any, NDArray[np.float32]]:
    """A ranker of made-up cases, and as many rows as one request has."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(N_CASES * 50, N_FEATURES)).astype(np.float32)
    level = (rows[:, 0] * rows[:, 1] + rows[:, 2] > 1.5).astype(np.uint8)
    data = lightgbm.Dataset(rows, level, group=[50] * N_CASES)
    return lightgbm.train({**PARAMS, "num_leaves": leaves, "min_data_in_leaf": 5}, data, n_trees), rows[:N_RANKED]


def by_numpy(arrays: dict[str, Any], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The same sums, a tree and a level at a time: the oracle of the loop."""
    feature, left, threshold, value = (arrays[f"ranker.{name}"] for name in ("feature", "left", "threshold", "value"))
    total, every = np.zeros(len(rows)), np.arange(len(rows))
    for root, depth in zip(arrays["ranker.root"], arrays["ranker.depth"], strict=True):
        node = np.full(len(rows), root)
        for _ in range(depth):
            node = left[node] + (rows[every, feature[node]] > threshold[node])
        total += value[node]
    return total


def fastest_us(call: Callable[[], object], rounds: int = 200) -> float:
    """Least time of a call in µs."""
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)


if __name__ == "__main__":
    main()
