"""Dates written the American or the European way: 11/28/2000, 28.11.2000 15:07.

One such date may not say which of its numbers is the month; a whole column nearly always does.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.importers.cells import Cells

WRITTEN: Final = re.compile(
    r"(?P<one>\d{1,2})(?P<mark>[/.-])(?P<two>\d{1,2})(?P=mark)(?P<year>\d{4})"
    r"(?:,?[ T](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?",
    re.ASCII,
)
MONTHS: Final = 12


class Reading(NamedTuple):
    """Cells whose dates are ISO 8601 now, and how they were read, in words; no words where none was of that kind."""

    cells: Cells
    note: str = ""


def read_dates(cells: Cells) -> Reading:
    """The cells with dates that begin with a day or a month put into the order of the standard.

    Which of the two comes first is what the whole column says: a number above 12 is a day. A column that does not say
    is left as it is, and its rows are refused as times that cannot be read.
    """
    found = dict(_written(cells))
    if not found:
        return Reading(cells)
    told = {_begins_with_day(date) for date in found.values()} - {None}
    if len(told) != 1:
        return Reading(cells)
    (day_first,) = told
    order = "day, month, year" if day_first else "month, day, year"
    changed = cells.map(lambda value: _iso(found[value], day_first=bool(day_first)) if value in found else value)
    return Reading(changed, f"dates such as {next(iter(found))} were read as {order}")


def _written(cells: Cells) -> Iterator[tuple[str, re.Match[str]]]:
    for value in cells.distinct:
        if isinstance(value, str) and (date := WRITTEN.fullmatch(value.strip())):
            yield value, date


def _begins_with_day(date: re.Match[str]) -> bool | None:
    """Whether a date can only begin with its day, or only with its month; None where both make sense."""
    one, two = int(date["one"]), int(date["two"])
    if (one > MONTHS) == (two > MONTHS):
        return None
    return one > MONTHS


def _iso(date: re.Match[str], *, day_first: bool) -> str:
    """The date as the standard writes it; as it was where the calendar has no such day."""
    day, month = (date["one"], date["two"]) if day_first else (date["two"], date["one"])
    hour = int(date["hour"] or 0)
    if date["half"]:
        hour = hour % 12 + 12 * (date["half"] in "Pp")
    time = (hour, int(date["minute"] or 0), int(date["second"] or 0))
    try:
        return datetime(int(date["year"]), int(month), int(day), *time).isoformat()  # noqa: DTZ001 - as written
    except ValueError:
        return date.string
