"""What each source is worth: the blend learned again without it, on cases that came later.

``python -m benchmarks.leave_one_out DIR [DIR ...]`` takes data directories. The blend is learned at the cut-offs before
the validation window and judged on that window, so nothing after it is looked at. A row a source: the relative change
of NDCG@10 when it is left out, by directory and task, and the worst of any stage with 200 cases or more.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from features.journey import Journey
from recommender.blend import STAGES, TASKS
from training.blending import learn_blend, ndcg_of
from training.job import DEFAULT_SIZES, load, split
from training.learning import blended
from training.pools import joined
from training.split import windows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from training.learning import Lesson
    from training.pools import Pools

MIN_CASES: Final = 200
WORTH: Final = 0.5
"""Per cent that leaving a source out must cost somewhere for it to stay."""


class Cost(NamedTuple):
    """Relative change in per cent of all cases, and of the stage that loses most; None with too few cases."""

    overall: float
    worst: float | None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leave_one_out", description=__doc__)
    parser.add_argument("directories", type=Path, nargs="+")
    options = parser.parse_args()
    columns: dict[str, Mapping[str, Cost]] = {}
    with threadpool_limits(1, "blas"):
        for path in options.directories:
            for task, costs in costs_of(path).items():
                columns[f"{path.parent.name if path.name == 'data' else path.name}, {task}"] = costs
    Console(width=220).print(table_of(columns))


def costs_of(path: Path) -> dict[str, dict[str, Cost]]:
    """By task and source, on one data directory."""
    data = load(path, None, lambda _name, _share: None)
    taught = split(
        data, windows_of(data), Journey.load(None), lambda _name, _share: None, n=DEFAULT_SIZES.validation, seed=0
    )
    *earlier, last = taught.lessons
    sources = last.pools["any"].sources
    whole = values_without(earlier, last, sources)
    found: dict[str, dict[str, Cost]] = {task: {} for task in TASKS}
    for source in sources:
        without = values_without(earlier, last, tuple(one for one in sources if one != source))
        for task in TASKS:
            found[task][source] = cost(last.pools[task], whole[task], without[task])
    return found


def values_without(earlier: Sequence[Lesson], last: Lesson, sources: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    """NDCG@10 of each case of the last lesson by task, under a blend of some sources."""
    blend = learn_blend(
        sources, {task: joined([one.pools[task] for one in earlier], sources) for task in TASKS}, seed=0
    )
    values = {}
    for task in TASKS:
        pools = last.pools[task].of_sources(sources)
        values[task] = ndcg_of(pools, blended(pools, blend.weights[task]))
    return values


def cost(pools: Pools, whole: NDArray[np.float64], without: NDArray[np.float64]) -> Cost:
    """What leaving a source out changes."""
    stage = np.array([STAGES.index(standing.stage) for standing in pools.standings], np.int64)
    cells = [stage == number for number in range(len(STAGES)) if (stage == number).sum() >= MIN_CASES]
    return Cost(change(whole, without), min((change(whole[cell], without[cell]) for cell in cells), default=None))


def change(whole: NDArray[np.float64], without: NDArray[np.float64]) -> float:
    """Of the mean, in per cent; 0 where there is nothing to lose."""
    mean = float(whole.mean()) if len(whole) else 0.0
    return 100 * (float(without.mean()) / mean - 1) if mean else 0.0


def table_of(columns: Mapping[str, Mapping[str, Cost]]) -> Table:
    """A row a source, with the worst of everything last."""
    table = Table("source", *columns, "worst", "stays")
    for source in sorted({name for costs in columns.values() for name in costs}):
        found = [costs.get(source) for costs in columns.values()]
        worst = min(part for one in found if one for part in one if part is not None)
        cells = [
            f"{one.overall:+.1f} ({'–' if one.worst is None else f'{one.worst:+.1f}'})" if one else "" for one in found
        ]
        table.add_row(source, *cells, f"{worst:+.1f}", "yes" if worst <= -WORTH else "no")
    return table


if __name__ == "__main__":
    main()
