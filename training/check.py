"""What is in a data directory, what is odd about it, and what models it can carry."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

import duckdb
import ibis

from features.events import DAY_US
from features.moments import to_datetime
from training.log import EventLog, read_catalog
from training.oddities import CHECKS, Finding, Severity, beside, in_the_future, row_of
from training.promise import promises
from training.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDER: Final[tuple[Severity, ...]] = ("wrong", "odd", "note")


class TypeCount(NamedTuple):
    """How much there is of one event type."""

    type: str
    lines: int
    events: int
    customers: int
    items: int
    without_item: int


class Report(NamedTuple):
    """Everything :func:`check` found; times in microseconds since 1970 UTC."""

    root: Path
    first: int
    last: int
    lines: int
    events: int
    customers: int
    items: int
    types: tuple[TypeCount, ...]
    findings: tuple[Finding, ...]
    promises: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.render())

    def render(self) -> Iterator[str]:
        """Lines for a person to read."""
        days = self.last // DAY_US - self.first // DAY_US + 1
        yield f"{self.root}: {counted(self.lines, 'line')} of {counted(self.events, 'event')}"
        span = f"{_day(self.first)} to {_day(self.last)} ({counted(days, 'day')})"
        yield f"{counted(self.customers, 'customer')}, {counted(self.items, 'item')}, {span}"
        yield ""
        yield f"  {'type':<20} {'lines':>10} {'events':>10} {'customers':>10} {'items':>10}"
        for count in self.types:
            yield f"  {count.type:<20} {count.lines:>10,} {count.events:>10,} {count.customers:>10,} {count.items:>10,}"
        for severity in ORDER:
            found = [finding.sentence for finding in self.findings if finding.severity == severity]
            yield from ("", f"{severity}:", *(f"  {sentence}" for sentence in found)) if found else ()
        yield from ("", "what it can carry:", *(f"  {promise}" for promise in self.promises))


def check(root: Path, *, now: int | None = None) -> Report:
    """Look through a data directory.

    Parameters
    ----------
    now : int, optional
        Moment of the check, microseconds; events after it are in the future.

    Raises
    ------
    InvalidData
        No data directory, or one with a file of another shape.
    """
    log = EventLog.open(root)
    at = time.time_ns() // 1_000 if now is None else now
    with closing(duckdb.connect()) as connection:
        _register(connection, log)
        first, last = log.time_range() or (0, 0)
        lines, events, customers, items = row_of(
            connection,
            """SELECT count(*), count(DISTINCT event_id), count(DISTINCT customer_id), count(DISTINCT item_id)
            FROM lines""",
        )
        types = tuple(TypeCount(*row) for row in connection.execute(_BY_TYPE).fetchall())
        findings = [finding for look in CHECKS for finding in look(connection)]
        findings += in_the_future(connection, at)
        findings += beside(root)
        findings.sort(key=lambda finding: ORDER.index(finding.severity))
        carried = tuple(promises(connection, {count.type: count.events for count in types}))
    return Report(root, first, last, lines, events, customers, items, types, tuple(findings), carried)


_BY_TYPE: Final = """
SELECT type, count(*) AS n, count(DISTINCT event_id), count(DISTINCT customer_id), count(DISTINCT item_id),
    count(*) FILTER (item_id IS NULL)
FROM lines GROUP BY type ORDER BY n DESC, type
"""


def _register(connection: duckdb.DuckDBPyConnection, log: EventLog) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    backend = ibis.duckdb.from_connection(connection)
    backend.create_table("files", log.lines(backend), overwrite=True)
    connection.execute("CREATE VIEW lines AS SELECT *, epoch_us(occurred_at) AS t FROM files")
    connection.register("catalog", read_catalog(log.root))


def _day(at: int) -> str:
    return to_datetime(at).date().isoformat()
