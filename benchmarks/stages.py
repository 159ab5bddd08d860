"""What knowing the stage is worth: the model, the same blind to the stage, and the best baseline, by stage and history.

``python -m benchmarks.stages DIR [DIR ...]`` takes data directories, judges the procedure on each as ``rihla evaluate``
does, and prints tables in Markdown. There is one origin, the test window of training. The best baseline of each line
is chosen on the line itself, which favours it. Intervals are 95 % bootstrap over customers, paired.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from features.journey import Journey
from training.report_grids import stage_grids
from training.rolling import evaluate_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.report_data import Grid


def main() -> None:
    """Print the tables of every directory as they are done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("directories", type=Path, nargs="+")
    for path in parser.parse_args().directories:
        started = time.monotonic()
        found = evaluate_directory(path, journey=Journey.load(None), until=None, n_origins=1).evaluation
        print(f"### {path.parent.name if path.name == 'data' else path.name}")
        for grid in stage_grids(found):
            print("", *markdown(grid), sep="\n")
        print(f"\n{time.monotonic() - started:.0f} s\n", flush=True)


def markdown(grid: Grid) -> Iterator[str]:
    """A grid with its title as lines of Markdown."""
    yield grid.title
    yield ""
    yield f"| {' | '.join(grid.head)} |"
    yield f"|{' --- |' * len(grid.head)}"
    for line in grid.rows:
        yield f"| {' | '.join(cell.text for cell in line)} |"


if __name__ == "__main__":
    main()
