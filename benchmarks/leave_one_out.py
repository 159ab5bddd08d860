"""What each source is worth: the blend climbed on without it, on cases that came later.

``python -m benchmarks.leave_one_out DIR[@T] [DIR[@T] ...]`` takes data directories, each with the moment (ISO 8601)
before which it is read. The blend is learned at every cut-off before the last window and judged on that window, on
which no setting was chosen. A row a source in Markdown: the relative change of NDCG@10 in per cent when it is left out,
by directory and task, and of all cases and every stage of 200 or more the one that loses most, with its paired 95 %
bootstrap interval. Blends are learned with three seeds. Each is climbed once more from where it ended, on the same
cases, with every source and with one less, so that both differ by the source; values are averaged over seeds. The row
``nothing`` has all sources, gone through in the opposite order: what it loses or gains is what learning alone does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from benchmarks.rankers import lessons_of
from features.moments import moment
from recommender.blend import STAGES, TASKS
from training.blending import learn_blend, refined
from training.gains import ndcg_of
from training.learning import blended
from training.metrics import Interval, mean_interval
from training.pools import joined
from training.spread import blas_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.blend import Blend
    from training.learning import Lesson
    from training.pools import Pools

MIN_CASES: Final = 200
WORTH: Final = 0.5
"""Per cent that leaving a source out must cost somewhere for it to stay."""
SEEDS: Final = range(3)
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
    parser.add_argument("directories", nargs="+", metavar="DIR[@T]")
    columns: dict[str, Mapping[str, list[Cost]]] = {}
    with blas_threads(1):
        for asked in parser.parse_args().directories:
            directory, _, until = asked.partition("@")
            path = Path(directory)
            name = path.parent.name if path.name == "data" else path.name
            own = {f"{name}, {task}": costs for task, costs in costs_of(path, moment(until) if until else None).items()}
            columns |= own
            print(*markdown(own), sep="\n", flush=True)
    print("", *markdown(columns), sep="\n")


def costs_of(path: Path, until: int | None) -> dict[str, dict[str, list[Cost]]]:
    """By task and source, on one data directory: of all cases, then of each stage with enough of them."""
    lessons, last = lessons_of(path, until)
    sources = lessons[-1].pools["any"].sources
    cases = {task: joined([one.pools[task] for one in lessons], sources) for task in TASKS}
    blends = [learn_blend(sources, cases, seed=seed) for seed in SEEDS]

    def values(kept: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
        return values_with(blends, {task: pools.of_sources(kept) for task, pools in cases.items()}, last, kept)

    whole = values(sources)
    found: dict[str, dict[str, list[Cost]]] = {task: {} for task in TASKS}
    for source in (NOTHING, *sources):
        without = values(sources[::-1] if source == NOTHING else tuple(one for one in sources if one != source))
        for task in TASKS:
            found[task][source] = costs(last.pools[task], whole[task], without[task])
    return found


def values_with(
    blends: Sequence[Blend], cases: Mapping[str, Pools], last: Lesson, sources: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """NDCG@10 of each case of the last lesson by task, under blends climbed on with some sources: their mean."""
    climbed = [refined(blend.projected(sources), cases, seed=seed) for seed, blend in zip(SEEDS, blends, strict=True)]
    asked = {task: last.pools[task].of_sources(sources) for task in TASKS}
    return {
        task: np.mean([ndcg_of(pools, blended(pools, blend.weights[task])) for blend in climbed], axis=0)
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
