"""The budgets, what was measured beside each, and how they are printed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence


class Row(NamedTuple):
    """A budget and its figure; ``is_met`` None where nothing could be said. ``note``: how, and where the time goes."""

    name: str
    budget: str
    measured: str
    is_met: bool | None
    note: str = ""


class Step(NamedTuple):
    """A part of one slate and its mean cost, µs."""

    name: str
    us: float


def budgets_table(rows: Sequence[Row]) -> Table:
    table = Table(title="Budgets", title_justify="left")
    for column in ("what", "budget", "measured", "", "note"):
        table.add_column(column, justify="right" if column == "measured" else "left")
    for row in rows:
        table.add_row(row.name, row.budget, row.measured, verdict(row.is_met), row.note)
    return table


def steps_table(steps: Sequence[Step]) -> Table:
    table = Table("step", title="One slate, step by step", title_justify="left")
    table.add_column("µs", justify="right")
    for step in steps:
        table.add_row(step.name, f"{step.us:,.0f}")
    return table


def markdown(rows: Sequence[Row], steps: Sequence[Step]) -> str:
    """Both tables for a document."""
    lines = ["| what | budget | measured | | note |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {r.name} | {r.budget} | {r.measured} | {verdict(r.is_met)} | {r.note} |" for r in rows]
    lines += ["", "| step of one slate | µs |", "| --- | --- |", *(f"| {s.name} | {s.us:,.0f} |" for s in steps)]
    return "\n".join(lines) + "\n"


def verdict(is_met: bool | None) -> str:  # noqa: FBT001 - a column of its own
    return {True: "met", False: "missed", None: "–"}[is_met]


def top(steps: Sequence[Step], n: int = 3) -> str:
    """Where the time goes: the dearest steps."""
    dearest = sorted(steps, key=lambda step: -step.us)[:n]
    return "most in " + ", ".join(f"{step.name} {step.us:,.0f} µs" for step in dearest)


def machine() -> str:
    """What the figures were measured on."""
    with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123 - one line of one file
        total = int(file.readline().split()[1])
    return f"{os.cpu_count()} cores, {total / 1024**2:.0f} GiB, load {os.getloadavg()[0]:.1f} at the start"
