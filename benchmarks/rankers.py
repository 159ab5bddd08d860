"""What the ranker adds to the blend, and how much of it is luck: one shop, one window, several seeds.

``python -m benchmarks.rankers DIR [DIR ...] --until T`` takes data directories. Blend and ranker learn from every
cut-off before the last window and are asked about customers with a past in it. A row a task and whether a session runs:
NDCG@10 of the blend, what the ranker adds to it in per cent with the standard error over cases, and the standard
deviation of that over seeds; then how many trees each seed took and whether validation let them serve.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from features.journey import Journey
from features.moments import moment
from recommender.blend import CONTEXTS, TASKS
from recommender.ranker import Ranker
from training.gains import ndcg_of
from training.job import DEFAULT_SIZES, load, split
from training.learning import blended, judge, learn, lesson_of, rescored
from training.split import windows_of
from training.spread import blas_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.fit import Recipe
    from training.learning import Lesson

MIN_CASES: Final = 50
MIN_LESSONS: Final = 2
"""One to learn from and one to be judged on."""


class Added(NamedTuple):
    """One seed: NDCG@10 of each case by task under the blend and under the ranker, the trees, and where they serve."""

    blend: dict[str, NDArray[np.float64]]
    ranker: dict[str, NDArray[np.float64]]
    n_trees: int
    serves: NDArray[np.bool_]


def main() -> None:
    """Print a table a directory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rankers", description=__doc__)
    parser.add_argument("directories", type=Path, nargs="+")
    parser.add_argument("--until", type=moment, default=None, help="nothing later is looked at")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    with blas_threads(1):
        for path in options.directories:
            lessons, last = lessons_of(path, options.until)
            found = [added(lessons, last.with_past(), seed) for seed in range(options.seeds)]
            console = Console(width=160)
            console.print(table_of(str(path), last.with_past(), found))
            for seed, one in enumerate(found):
                console.print(f"seed {seed}: {one.n_trees} trees, serving {one.serves.tolist()}")


def lessons_of(path: Path, until: int | None, recipe: Recipe | None = None) -> tuple[Sequence[Lesson], Lesson]:
    """The lessons of the cut-offs before the last window, and that window's; tuned where no recipe is given."""
    data = load(path, until, lambda _name, _share: None)
    windows, journey = windows_of(data), Journey.load(None)
    n, say = DEFAULT_SIZES.validation, lambda _name, _share: None
    taught = split(data, windows, journey, say, n=n, seed=0, recipe=recipe, with_verdict=False)
    n_lessons = len(taught.lessons)
    if n_lessons < MIN_LESSONS:
        sys.exit(f"{path}: expected cases at {MIN_LESSONS} cut-offs or more, got {n_lessons}")
    recipe, n = taught.recipe, DEFAULT_SIZES.test
    return taught.lessons, lesson_of(data, windows.test, windows.until, recipe, journey, n=n, seed=n_lessons)


def added(lessons: Sequence[Lesson], last: Lesson, seed: int) -> Added:
    """Blend and ranker of one seed, learned from some lessons, on the cases of a later one."""
    sources = lessons[-1].pools["any"].sources
    verdict = judge(lessons, sources, seed=seed)
    everywhere = replace(verdict, serves=np.ones_like(verdict.serves), n_trees=max(1, verdict.n_trees))
    learned = learn(lessons, sources, everywhere, seed=seed, with_blind=False)
    facts = {"facts.item": last.facts.item, "facts.first_seen_day": last.facts.first_seen_day}
    ranker = Ranker({**learned.arrays, **facts}, last.items, sources)
    of_blend, of_ranker = {}, {}
    for task in TASKS:
        pools = last.pools[task].of_sources(sources)
        of_blend[task] = ndcg_of(pools, blended(pools, learned.blend.weights[task]))
        of_ranker[task] = ndcg_of(pools, rescored(ranker, last, pools, learned.blend, task))
    return Added(of_blend, of_ranker, verdict.n_trees, verdict.serves)


def table_of(title: str, last: Lesson, found: Sequence[Added]) -> Table:
    """A row a task and whether a session runs, where there are cases enough."""
    table = Table("task", "a session", "cases", "blend", "the ranker adds, %", "over seeds, ±", title=title)
    for task in TASKS:
        is_live = np.array([CONTEXTS[row].endswith("/live") for row in last.pools[task].context], np.bool_)
        for live in (False, True):
            own = is_live == live
            if own.sum() < MIN_CASES:
                continue
            blend = np.array([one.blend[task][own] for one in found])
            gains = 100 * (np.array([one.ranker[task][own] for one in found]) - blend) / blend.mean()
            error = gains.mean(axis=0).std() / np.sqrt(own.sum())
            table.add_row(
                *(task, "runs" if live else "does not", f"{own.sum():,}", f"{blend.mean():.4f}"),
                *(f"{gains.mean():+.1f} ± {error:.1f}", f"{gains.mean(axis=1).std():.1f}"),
            )
    return table


if __name__ == "__main__":
    main()
