"""``python -m benchmarks``: the budgets of the design beside what this machine does.

Everything is started and ended here, in a temporary directory, on the loopback.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks import offline, slates, steps
from benchmarks.budgets import Row, Step, budgets_table, machine, markdown, steps_table, top
from benchmarks.served import service
from benchmarks.shop import made

if TYPE_CHECKING:
    from benchmarks.served import Served
    from benchmarks.shop import Shop

NAMES = ("decide", "slates", "latency", "events", "start", "picks", "fit")
ONLINE = frozenset({"slates", "latency", "events", "start"})


@dataclass(frozen=True)
class Size:
    """How much is measured; seconds are of each run."""

    events: int
    states: int
    seconds: float
    rounds: int
    latency_s: float
    picks: int
    cases: int


QUICK = Size(events=50_000, states=600, seconds=1.5, rounds=2, latency_s=6, picks=5_000, cases=200)
FULL = Size(events=1_000_000, states=2_000, seconds=4, rounds=3, latency_s=20, picks=10_000, cases=2_000)


def main() -> None:
    """Measure and print."""
    chosen, size, out = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends what was started, too
    say = Console(width=None if os.isatty(1) else 200)
    stamp = f"{machine()}; {size.events:,} events"
    say.print(stamp)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rihla-bench-", ignore_cleanup_errors=True) as home:
        shop = made(Path(home), size.events, size.states)
        say.print(f"shop: {len(shop.engine.items):,} items, made and fitted in {time.monotonic() - begun:.0f} s")
        rows, parts = measured(shop, chosen, size)
    say.print(budgets_table(rows))
    if parts:
        say.print(steps_table(parts))
    ending = f"load {os.getloadavg()[0]:.1f} at the end; {time.monotonic() - begun:.0f} s in all"
    say.print(ending)
    if out:
        out.write_text(f"{stamp}; {ending}\n\n{markdown(rows, parts)}")


def measured(shop: Shop, chosen: frozenset[str], size: Size) -> tuple[list[Row], list[Step]]:
    """All rows that were asked for, and the steps of one slate."""
    rows: list[Row] = []
    parts: list[Step] = []
    if chosen & {"decide", "slates"}:
        found, parts = steps.deciding(shop)
        rows += found if "decide" in chosen else []
    if "picks" in chosen:
        rows += offline.picks_rows(shop, size.picks)
    if chosen & (ONLINE | {"decide"}):
        with service(shop.home) as served:
            more, around = online(shop, served, chosen, size, parts)
        rows += more
        parts = around[:2] + parts + around[2:]
    if "fit" in chosen:
        rows += offline.fit_rows(shop.home / "data", size.events, size.cases)
    return rows, parts


def online(
    shop: Shop, served: Served, chosen: frozenset[str], size: Size, parts: list[Step]
) -> tuple[list[Row], list[Step]]:
    """What needs the running service."""
    slates.store_states(shop, served)
    rows: list[Row] = []
    around = steps.around(shop, served.redis_url) if parts else []
    if chosen & {"slates", "latency"}:
        found = slates.throughput(shop, served, size.seconds, size.rounds)
        rows += slates.throughput_rows(found, top([*parts, *around])) if "slates" in chosen else []
        rest = found.full_cpu_us - sum(step.us for step in (*parts, *around))
        around += [Step("server, routing and the rest of the worker's time", max(0.0, rest))] if parts else []
        if "latency" in chosen:
            rows += slates.latency_rows(shop, served, found.full_rate / 2, size.latency_s)
    rows += slates.start_rows(served) if "start" in chosen else []
    rows += [slates.events_row(shop, served, size.seconds * 2)] if "events" in chosen else []
    return rows, around


def _arguments() -> tuple[frozenset[str], Size, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little data and short runs")
    parser.add_argument("--only", choices=NAMES, action="append", help="one group of rows; may be repeated")
    parser.add_argument("--events", type=int, help="size of the simulated log")
    parser.add_argument("--out", type=Path, help="write the tables as Markdown, too")
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    if given.events:
        size = Size(**{**vars(size), "events": given.events})
    return frozenset(given.only or NAMES), size, given.out


if __name__ == "__main__":
    main()
