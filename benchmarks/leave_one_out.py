"""What each source is worth: the blend learned again without it, on cases that came later.

``python -m benchmarks.leave_one_out DIR [DIR ...]`` takes data directories. The blend is learned at the cut-offs before
the validation window and judged on that window, so nothing after it is looked at. A row a source in Markdown: the
relative change of NDCG@10 in per cent when it is left out, by directory and task, and of all cases and every stage of
200 or more the one that loses most, with its paired 95 % bootstrap interval. Each blend is learned with three seeds,
that of all sources with nine, and their values are averaged. The row ``nothing`` is that of all sources learned with
three more seeds: what it loses or gains is what learning alone does, and is in no interval.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from features.journey import Journey
from recommender.blend import STAGES, TASKS
from training.blending import learn_blend, ndcg_of
from training.job import DEFAULT_SIZES, load, split
from training.learning import blended
from training.metrics import Interval, mean_interval
from training.pools import joined
from training.split import windows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from training.learning import Lesson
    from training.pools import Pools

MIN_CASES: Final = 200
WORTH: Final = 0.5
"""Per cent that leaving a source out must cost somewhere for it to stay."""


SEEDS, WHOLE_SEEDS, MORE_SEEDS = range(3), range(9), range(9, 12)
"""A blend is learned so often: where cases are few, another draw of them changes it as much as a source does."""
NOTHING: Final = "nothing"


class Cost(NamedTuple):
    """Relative change of some cases' NDCG@10, in per cent, and its interval."""

    where: str
    change: Interval

    @property
    def is_sure(self) -> bool:
        """Whether something is lost whatever cases were drawn."""
        return self.change.high < 0


def main() -> None:
    """Print the table, and what each directory says as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leave_one_out", description=__doc__)
    parser.add_argument("directories", type=Path, nargs="+")
    columns: dict[str, Mapping[str, list[Cost]]] = {}
    with threadpool_limits(1, "blas"):
        for path in parser.parse_args().directories:
            name = path.parent.name if path.name == "data" else path.name
            for task, costs in costs_of(path).items():
                columns[f"{name}, {task}"] = costs
            own = {key: found for key, found in columns.items() if key.startswith(f"{name}, ")}
            print(*markdown(own), sep="\n", flush=True)
    print("", *markdown(columns), sep="\n")


def costs_of(path: Path) -> dict[str, dict[str, list[Cost]]]:
    """By task and source, on one data directory: of all cases, then of each stage with enough of them."""
    data = load(path, None, lambda _name, _share: None)
    taught = split(
        data, windows_of(data), Journey.load(None), lambda _name, _share: None, n=DEFAULT_SIZES.validation, seed=0
    )
    if not taught.lessons:
        return {}
    *earlier, last = taught.lessons
    sources = last.pools["any"].sources
    whole = values_with(earlier, last, sources, WHOLE_SEEDS)
    found: dict[str, dict[str, list[Cost]]] = {task: {} for task in TASKS}
    for source in (NOTHING, *sources):
        seeds = MORE_SEEDS if source == NOTHING else SEEDS
        without = values_with(earlier, last, tuple(one for one in sources if one != source), seeds)
        for task in TASKS:
            found[task][source] = costs(last.pools[task], whole[task], without[task])
    return found


def values_with(
    earlier: Sequence[Lesson], last: Lesson, sources: tuple[str, ...], seeds: range
) -> dict[str, NDArray[np.float64]]:
    """NDCG@10 of each case of the last lesson by task, under blends of some sources: the mean over seeds."""
    taught = {task: joined([one.pools[task] for one in earlier], sources) for task in TASKS}
    asked = {task: last.pools[task].of_sources(sources) for task in TASKS}
    blends = [learn_blend(sources, taught, seed=seed) for seed in seeds]
    return {
        task: np.mean([ndcg_of(pools, blended(pools, blend.weights[task])) for blend in blends], axis=0)
        for task, pools in asked.items()
    }


def costs(pools: Pools, whole: NDArray[np.float64], without: NDArray[np.float64]) -> list[Cost]:
    """What leaving a source out changes: of all cases, then of each stage that has enough."""
    stage = np.array([STAGES.index(standing.stage) for standing in pools.standings], np.int64)
    cells = {"all": np.ones(len(pools), np.bool_)} | {name: stage == number for number, name in enumerate(STAGES)}
    return [
        Cost(name, change(whole[cell], without[cell]))
        for name, cell in cells.items()
        if name == "all" or cell.sum() >= MIN_CASES
    ]


def change(whole: NDArray[np.float64], without: NDArray[np.float64]) -> Interval:
    """Of the mean, in per cent; 0 where there is nothing to lose."""
    mean = float(whole.mean()) if len(whole) else 0.0
    return mean_interval(100 / mean * (without - whole)) if mean else Interval(0.0, 0.0, 0.0)


def markdown(columns: Mapping[str, Mapping[str, list[Cost]]]) -> Iterator[str]:
    """A row a source: the change of all cases by column, where it is missed most, and whether it stays.

    Bold is a change whose interval does not hold 0.
    """
    yield f"| source | {' | '.join(columns)} | costs most | loses for sure in | stays |"
    yield f"|{' --- |' * (len(columns) + 4)}"
    for source in sorted({name for found in columns.values() for name in found}):
        everywhere = [(column, cost) for column, found in columns.items() for cost in found.get(source, ())]
        column, worst = min(everywhere, key=lambda one: one[1].change.mean)
        sure = [cost for _, cost in everywhere if cost.is_sure and cost.change.mean <= -WORTH]
        cells = [cell_of(found[source][0]) if source in found else "–" for found in columns.values()]
        stays = "yes" if sure else "not for sure" if worst.change.mean <= -WORTH else "no"
        if source == NOTHING:
            stays = "–"
        low, high = signed(worst.change.low), signed(worst.change.high)
        most = f"{column}, {worst.where}: {signed(worst.change.mean)} [{low}, {high}]"
        yield f"| {source} | {' | '.join(cells)} | {most} | {len(sure)} of {len(everywhere)} | {stays} |"


def cell_of(cost: Cost) -> str:
    """A change as text."""
    text = signed(cost.change.mean)
    return f"**{text}**" if cost.change.low > 0 or cost.change.high < 0 else text


def signed(value: float) -> str:
    """Per cent with its sign."""
    return f"{value:+.1f}".replace("-", "−")


if __name__ == "__main__":
    main()
