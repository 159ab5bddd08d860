"""``rihla simulate``: a data directory with a given number of events of a shop that does not exist."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from features.errors import InputError
from features.events import DAY_US
from features.moments import to_text
from training.importers.landing import check_out, prepared
from training.log import EventLog, catalog_table, write_catalog
from training.simulator.crowds import crowds
from training.simulator.journal import TYPES
from training.simulator.stocking import make_world
from training.simulator.table import Names, to_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.random import Generator

    from training.simulator.crowds import Part
    from training.simulator.world import World

NAME: Final = "simulated"
DAYS_AT_ONCE: Final = 30


class SimulationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was written. ``start`` and ``end`` are microseconds since 1970 UTC."""

    seed: int
    start: int
    end: int
    n_events: int
    n_lines: int
    n_customers: int
    n_items: int
    by_type: dict[str, int]

    def __str__(self) -> str:
        head = f"{self.n_events:,} events in {self.n_lines:,} lines"
        size = f"{self.n_customers:,} customers, {self.n_items:,} items"
        span = f"{to_text(self.start)} to {to_text(self.end)}, seed {self.seed}"
        return "\n".join([head, size, span, *(f"  {n:>10,}  {kind}" for kind, n in self.by_type.items())])


def simulate(
    out: Path,
    *,
    events: int,
    seed: int = 0,
    days: int = 180,
    end: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> SimulationSummary:
    """Write the events and the catalog of a simulated shop to a data directory.

    Parameters
    ----------
    out : Path
        New, or one that an earlier simulation wrote, which is replaced.
    events : int
        How many events; an order is one, with a line a product.
    seed, days, end
        Equal values give equal files. ``end`` is microseconds since 1970 UTC, now by default.
    progress
        Called with the fraction that is done.

    Raises
    ------
    InputError
        A negative number, or no days.
    InvalidData
        ``out`` holds something else.
    """
    if events < 0 or days < 1 or seed < 0:
        raise InputError("expected events and seed of at least 0, and days of at least 1")
    check_out(out, NAME, add=False)
    world = make_world(n_events=events, seed=seed, days=days, end=time.time_ns() // 1_000 if end is None else end)
    parts = list(crowds(world, events, progress))
    if out.is_dir():
        (out / "events").mkdir(exist_ok=True)
    with prepared(out, NAME) as aside:
        write_catalog(aside, catalog_table(world.items))
        customers = _write_events(EventLog(aside), world, parts)
        summary = _summary(world, parts, customers)
        (aside / "import.json").write_bytes(msgspec.json.encode({NAME: summary}))
    return summary


def _write_events(log: EventLog, world: World, parts: Sequence[Part]) -> int:
    """Write the lines some days at a time; returns the number of customer ids."""
    rng = np.random.default_rng([world.seed, 2])
    customers: set[str | None] = set()
    first, last = world.start // DAY_US, world.end // DAY_US
    for day in range(first, last + 1, DAYS_AT_ONCE):
        tables = [_days(world, n, part, (day, day + DAYS_AT_ONCE), rng) for n, part in enumerate(parts)]
        if any(table.num_rows for table in tables):
            table = pa.concat_tables(tables)
            customers.update(table["customer_id"].unique().to_pylist())
            log.write(table, NAME)
    return len(customers - {None})


def _days(world: World, group: int, part: Part, days: tuple[int, int], rng: Generator) -> pa.Table:
    day = part.lines["at"] // DAY_US
    lines = part.lines[(day >= days[0]) & (day < days[1])]
    return to_table(lines, part.texts, Names(world, part.people, f"{world.seed}-{group}"), rng)


def _summary(world: World, parts: Sequence[Part], n_customers: int) -> SimulationSummary:
    firsts = [part.lines["type"][part.lines["line_no"] == 0] for part in parts]
    counts: Any = sum((np.bincount(codes, minlength=len(TYPES)) for codes in firsts), np.zeros(len(TYPES), np.int64))
    order = np.argsort(-counts, kind="stable")
    return SimulationSummary(
        seed=world.seed,
        start=world.start,
        end=world.end,
        n_events=int(counts.sum()),
        n_lines=sum(len(part.lines) for part in parts),
        n_customers=n_customers,
        n_items=world.n_items,
        by_type={str(TYPES[code]): int(counts[code]) for code in order if counts[code]},
    )
