"""Questions to a log whose answer should be: nothing. Each yields findings, in words a person can act on.

Every question is asked of a DuckDB connection with a table ``lines`` (the log, with ``t`` in
microseconds) and a table ``catalog``.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec
import numpy as np

from features.events import DAY_US, MAX_SKEW_US
from training.importers.landing import is_cut_off, read_imports
from training.log import day_folder
from training.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

Severity = Literal["wrong", "odd", "note"]

HEAVY_DAY: Final = 500
"""More events than this on one day are rarely one person's."""
SUDDEN: Final = 0.6
"""A daily volume below this share of what it was just before is a sudden drop."""
MIN_DAILY: Final = 50
"""Fewer events a day than this vary too much to speak of a drop."""
EARLIEST_US: Final = 7_305 * DAY_US
"""1990: shops' clocks of before are mistakes."""
HOUR_US: Final = DAY_US // 24
WEEKDAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


class Finding(NamedTuple):
    """One thing to know: how bad it is, what it is, and the number it is about."""

    severity: Severity
    sentence: str
    number: float


def row_of(connection: duckdb.DuckDBPyConnection, query: str, *values: int) -> tuple[int, ...]:
    """The one row of integers that a query answers; null is 0."""
    row = connection.execute(query, list(values)).fetchone()
    return tuple(int(value or 0) for value in row or ())


def _gaps(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    days = np.array([day for (day,) in connection.execute("SELECT DISTINCT day FROM lines ORDER BY day").fetchall()])
    n_missing = int(days[-1] - days[0] + 1 - len(days))
    if not n_missing:
        return
    jumps = np.diff(days)
    longest = int(jumps.argmax())
    where = f"the longest from {day_folder(int(days[longest]) + 1)} to {day_folder(int(days[longest + 1]) - 1)}"
    share = n_missing / int(days[-1] - days[0] + 1)
    severity: Severity = "odd" if jumps.max() > 7 or share < 0.1 else "note"
    yield Finding(severity, f"{counted(n_missing, 'day')} without any event, {where}.", n_missing)
    weekdays = set(range(7)) - {int(day + 3) % 7 for day in days}
    if len(days) > 28 and weekdays:
        never = " and ".join(WEEKDAYS[day] for day in sorted(weekdays))
        yield Finding("note", f"There is never an event on {never}.", len(weekdays))


def _volume(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """The sharpest fall between the days before and the days after; first and last day may be cut off."""
    rows = connection.execute("SELECT day, count(DISTINCT event_id) FROM lines GROUP BY day ORDER BY day").fetchall()
    counts = np.zeros(rows[-1][0] - rows[0][0] + 1)
    for day, n in rows:
        counts[day - rows[0][0]] = n
    width = 7 if len(counts) >= 23 else 2
    whole = counts[1:-1]
    if len(whole) < 2 * width:
        return
    sums = np.convolve(whole, np.ones(width), "valid")
    before, after = sums[:-width], sums[width:]
    ratio = np.where(before >= MIN_DAILY * width, after / np.maximum(before, 1), 1.0)
    worst = int(ratio.argmin())
    if ratio[worst] < SUDDEN:
        day = day_folder(rows[0][0] + 1 + worst + width)
        yield Finding(
            "odd",
            f"From {day} there are {1 - ratio[worst]:.0%} fewer events than in the {width} days before: "
            "was something switched off?",
            float(ratio[worst]),
        )


def _without_customer(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    n, total = row_of(connection, "SELECT count(*) FILTER (customer_id IS NULL), count(*) FROM lines")
    if n:
        severity: Severity = "odd" if n > total / 2 else "note"
        yield Finding(
            severity,
            f"{counted(n, 'line')} ({n / total:.1%}) without a customer: they say what is trending, no one's taste.",
            n,
        )


def _duplicates(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    (n,) = row_of(connection, "SELECT count(*) - count(DISTINCT (event_id, line_no)) FROM lines")
    if n:
        yield Finding(
            "wrong", f"{counted(n, 'line')} with an event_id and line number that is there already, counted twice.", n
        )
    n, total = row_of(
        connection,
        """SELECT count(*) - count(DISTINCT (customer_id, type, item_id, t)), count(*)
        FROM lines WHERE item_id IS NOT NULL""",
    )
    if n:
        severity: Severity = "odd" if n > total / 100 else "note"
        yield Finding(
            severity, f"{counted(n, 'line')} ({n / total:.1%}) with customer, type, item and moment of another one.", n
        )


def _heavy(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    n, most, events, total = row_of(
        connection,
        """
        WITH daily AS (
            SELECT customer_id, day, count(DISTINCT event_id) AS n FROM lines
            WHERE customer_id IS NOT NULL GROUP BY customer_id, day)
        SELECT count(DISTINCT customer_id) FILTER (n > ?), max(n), sum(n) FILTER (n > ?), sum(n)
        FROM daily
        """,
        HEAVY_DAY,
        HEAVY_DAY,
    )
    if n:
        yield Finding(
            "odd",
            f"{counted(n, 'customer')} with more than {HEAVY_DAY} events on one day (up to {most:,}), "
            f"{events / total:.1%} of all: a robot, a test account or a till?",
            n,
        )


def _catalog(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    (unknown,) = row_of(
        connection,
        "SELECT count(DISTINCT item_id) FROM lines ANTI JOIN catalog USING (item_id) WHERE item_id IS NOT NULL",
    )
    if unknown:
        yield Finding(
            "odd", f"{counted(unknown, 'item')} of the events not in the catalog, never to be recommended.", unknown
        )
    untouched, total = row_of(
        connection,
        """SELECT count(*) FILTER (item_id NOT IN (SELECT item_id FROM lines WHERE item_id IS NOT NULL)), count(*)
        FROM catalog""",
    )
    if untouched:
        yield Finding("note", f"{untouched:,} of {counted(total, 'item')} in the catalog never touched.", untouched)
    (gone,) = row_of(connection, "SELECT count(*) FILTER (NOT available) FROM catalog")
    if gone:
        yield Finding("note", f"{gone:,} of {counted(total, 'item')} in the catalog not available.", gone)


def _items_of_types(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    rows = connection.execute(
        "SELECT type, count(*) FROM lines GROUP BY type HAVING count(item_id) = 0 ORDER BY type"
    ).fetchall()
    if rows:
        names = ", ".join(name for name, _ in rows)
        yield Finding("note", f"Events of {names} carry no item.", sum(n for _, n in rows))


def _prices(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    (n,) = row_of(connection, "SELECT count(*) FROM catalog WHERE price_minor <= 0")
    if n:
        yield Finding("odd", f"{counted(n, 'item')} in the catalog with a price of 0.", n)
    free, unknown, total = row_of(
        connection,
        """SELECT count(*) FILTER (amount_minor <= 0), count(*) FILTER (amount_minor IS NULL), count(*)
        FROM lines WHERE type = 'purchase'""",
    )
    if free:
        yield Finding("note", f"{free:,} of {counted(total, 'line')} of purchases with an amount of 0.", free)
    if unknown:
        yield Finding(
            "note",
            f"{unknown:,} of {counted(total, 'line')} of purchases without an amount: spend is understated.",
            unknown,
        )


def _currencies(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    rows = connection.execute(
        """SELECT coalesce(currency, 'none'), count(*) FROM lines WHERE amount_minor IS NOT NULL
        GROUP BY 1 ORDER BY 2 DESC, 1"""
    ).fetchall()
    if len(rows) > 1:
        mix = ", ".join(f"{name} {n:,}" for name, n in rows[:6])
        yield Finding("odd", f"Amounts are in several currencies ({mix}); sums over customers mix them.", len(rows))
    elif rows and rows[0][0] == "none":
        yield Finding("note", "Amounts name no currency.", rows[0][1])


def _clock(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    midnight, old, hours, total = row_of(
        connection,
        """SELECT count(*) FILTER (t % ? = 0), count(*) FILTER (t < ?), count(*) FILTER (t % ? = 0), count(*)
        FROM lines""",
        DAY_US,
        EARLIEST_US,
        HOUR_US,
    )
    if midnight == total:
        yield Finding(
            "odd", "Every event is at midnight: only days are known, so neither sessions nor the last click are.", total
        )
    elif midnight > total / 20:
        yield Finding(
            "odd", f"{counted(midnight, 'line')} ({midnight / total:.1%}) at midnight to the microsecond.", midnight
        )
    elif hours == total:
        yield Finding("odd", "Every event is on the hour: the order within an hour is not known.", total)
    if old:
        yield Finding("wrong", f"{counted(old, 'line')} from before 1990: the unit or the clock is wrong.", old)


def _late(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    n, total = row_of(connection, "SELECT count(*) FILTER (late), count(*) FROM lines")
    if n:
        severity: Severity = "odd" if n > total / 100 else "note"
        yield Finding(
            severity, f"{counted(n, 'line')} ({n / total:.1%}) more than 24 hours late, not counted until a rebuild.", n
        )


def _collisions(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    (n,) = row_of(
        connection,
        """SELECT count(*) FROM (SELECT item_key FROM lines WHERE item_key IS NOT NULL
        GROUP BY item_key HAVING count(DISTINCT item_id) > 1)""",
    )
    if n:
        yield Finding("wrong", f"{counted(n, 'item key')} for more than one item.", n)


def in_the_future(connection: duckdb.DuckDBPyConnection, now: int) -> Iterator[Finding]:
    """Events after ``now`` (microseconds), beyond what clocks differ by."""
    (n,) = row_of(connection, "SELECT count(*) FROM lines WHERE t > ?", now + MAX_SKEW_US)
    if n:
        yield Finding("wrong", f"{counted(n, 'line')} in the future.", n)


def beside(root: Path) -> Iterator[Finding]:
    """What importers left beside the log."""
    if is_cut_off(root):
        yield Finding("wrong", "An import was cut off while it was put into place: import again.", 1)
    for source, counts in read_imports(root).items():
        for reason, n in counts.get("left_out", {}).items():
            yield Finding("note", f"{source}: {counted(n, 'row')} left out by decision: {reason}.", n)
    path = root / "rejects.ndjson"
    lines = path.read_bytes().splitlines() if path.is_file() else []
    reasons = Counter((row.get("field") or "row", row["reason"]) for row in map(msgspec.json.decode, lines))
    for (field, reason), n in reasons.most_common():
        yield Finding("odd", f"{counted(n, 'row')} rejected for {field}: {reason} (see rejects.ndjson).", n)


CHECKS: Final[tuple[Callable[[duckdb.DuckDBPyConnection], Iterator[Finding]], ...]] = (
    _gaps,
    _volume,
    _without_customer,
    _duplicates,
    _heavy,
    _catalog,
    _items_of_types,
    _prices,
    _currencies,
    _clock,
    _late,
    _collisions,
)
