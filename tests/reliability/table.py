"""The rows of the reliability matrix as they were measured, beside their targets."""

from __future__ import annotations

from typing import NamedTuple

from rich.table import Table


class Row(NamedTuple):
    """One figure of one row."""

    number: int
    fault: str
    target: str
    measured: str


def table(rows: list[Row]) -> Table:
    """For a terminal."""
    made = Table(title="Reliability", show_lines=False)
    for name in ("row", "fault", "target", "measured"):
        made.add_column(name)
    for row in sorted(rows, key=lambda row: row.number):
        made.add_row(str(row.number), row.fault, row.target, row.measured)
    return made


def markdown(rows: list[Row]) -> str:
    """For ``docs/reliability.md``."""
    lines = [
        f"| {r.number} | {r.fault} | {r.target} | {r.measured} |" for r in sorted(rows, key=lambda row: row.number)
    ]
    return "\n".join(["| row | fault | target | measured |", "| --- | --- | --- | --- |", *lines])
