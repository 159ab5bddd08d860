"""``RIHLA_DATASETS=DIR python -m benchmarks.quality``: our lists beside tuned baselines, on splits unseen in training.

Each dataset is imported as a shop's events are. Training and tuning end at the cut; every later case is then decided
over the full catalogue. Each system runs in a process of its own. Lists are kept in ``--cache``, so that ours can be
measured again without the baselines. Intervals are 95 % bootstrap over customers; the best baseline is chosen on the
test itself, which favours the baselines.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks.quality.cases import outer_split
from benchmarks.quality.datasets import DATASETS
from benchmarks.quality.lists import Stored
from benchmarks.quality.peers import PEERS
from benchmarks.quality.report import compare, summary_of, table_of
from benchmarks.quality.runs import SYSTEM, alone, list_path, run_peer, run_system
from benchmarks.quality.sources import Prepared, prepare
from benchmarks.quality.tasks import TASKS
from features.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.quality.report import Comparison
    from benchmarks.quality.tasks import Task

WIDTH = 200


def main() -> None:
    """Measure the tasks asked for and print a table for each, and one of all."""
    options = _parser().parse_args()
    tasks = [task for task in TASKS if any(part in task.name for part in options.only.split(","))]
    if not tasks:
        sys.exit(f"--only {options.only}: expected a part of one of: {', '.join(task.name for task in TASKS)}")
    if options.data is None:
        sys.exit("--data: expected the directory of the datasets, here or in RIHLA_DATASETS, got none")
    with tempfile.TemporaryDirectory() as work:
        cache = options.cache or Path(work)
        try:
            _run(options, cache, tasks)
        except InvalidData as error:
            sys.exit(str(error))
        except BrokenProcessPool:
            sys.exit("a system's process was ended from outside; lists that were finished stay in --cache")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    known = os.environ.get("RIHLA_DATASETS")
    parser.add_argument(
        "--data", type=Path, default=Path(known) if known else None, help="directory of the datasets (RIHLA_DATASETS)"
    )
    parser.add_argument("--only", default="", help="parts of tasks' names, separated by commas; all tasks without it")
    parser.add_argument("--cache", type=Path, help="directory that keeps imports and lists; forgotten without it")
    parser.add_argument(
        "--system-only", action="store_true", help="run our system again; baselines come from --cache or are left out"
    )
    parser.add_argument("--peers-only", action="store_true", help="run baselines that --cache lacks, not our system")
    parser.add_argument("--markdown", type=Path, help="file that also gets the table of all tasks")
    return parser


def _run(options: argparse.Namespace, cache: Path, tasks: Sequence[Task]) -> None:
    console = Console(width=WIDTH)
    comparisons: list[Comparison] = []
    for name in dict.fromkeys(task.dataset for task in tasks):
        chosen = [task for task in tasks if task.dataset == name]
        prepare(DATASETS[name], options.data, cache / name)
        if not options.system_only:
            _run_peers(cache, chosen, console)
        if not options.peers_only:
            alone(run_system, cache, name, [task.name for task in chosen])
        for comparison in _compared(cache, chosen, options):
            console.print(table_of(comparison))
            comparisons.append(comparison)
    lines = list(summary_of(comparisons))
    console.print("\n".join(lines), markup=False, soft_wrap=True)
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


def _run_peers(cache: Path, tasks: Sequence[Task], console: Console) -> None:
    """Run the baselines whose lists are not kept yet."""
    for task in tasks:
        prepared = Prepared.load(cache / task.dataset)
        digest = outer_split(task, prepared.events, prepared.held).cases.digest()
        for name in task.peers:
            if prepared.events.n_items > PEERS[name].max_items or stored_peer(cache, task, name, digest):
                continue
            console.print(f"{task.name}: {name}", style="dim", markup=False)
            alone(run_peer, cache, task.name, name)


def stored_peer(cache: Path, task: Task, name: str, digest: str) -> Stored | None:
    """Lists of a baseline for the cases of ``digest``, where they were made with the settings of today."""
    return Stored.load(list_path(cache, task, name), f"{digest}-{PEERS[name].digest}")


def _compared(cache: Path, tasks: Sequence[Task], options: argparse.Namespace) -> Iterator[Comparison]:
    for task in tasks:
        prepared = Prepared.load(cache / task.dataset)
        cases = outer_split(task, prepared.events, prepared.held).cases
        digest = cases.digest()
        found = {name: stored_peer(cache, task, name, digest) for name in task.peers}
        if not options.peers_only:
            found[SYSTEM] = Stored.load(list_path(cache, task, SYSTEM), digest)
        stored = {name: one for name, one in found.items() if one}
        if not set(stored) - {SYSTEM}:
            raise InvalidData(
                f"{task.name}: expected lists of baselines in {cache}, got none; run once without --system-only"
            )
        yield from compare(task, cases, stored, SYSTEM)


if __name__ == "__main__":
    main()
