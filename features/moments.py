"""Moments as the log holds them: integer microseconds since 1970 UTC."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from features.values import Unreadable

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_US: Final = 253_402_300_799_999_999
"""Last microsecond of the year 9999."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_MICROSECOND: Final = timedelta(microseconds=1)


def moment(value: object) -> int:
    """Microseconds since 1970 UTC of an RFC 3339 text with a zone, or of a Unix epoch number.

    The unit of a number is told by its size: below 1e11 seconds, below 1e14 milliseconds, below 1e17
    microseconds, above that nanoseconds. That holds for every moment between 1973 and 5138, and a
    number of before is refused as a time in the future rather than misread in silence.

    Raises
    ------
    Unreadable
        What was expected and got; never the value itself.
    """
    if isinstance(value, str):
        return bounded(_of_text(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"expected an RFC 3339 time or a Unix epoch number, got {type(value).__name__}")
    if not math.isfinite(value):
        raise Unreadable("expected a finite Unix epoch number")
    return bounded(_of_epoch(value))


def bounded(at: int) -> int:
    """The moment itself, when it is one that the log can hold.

    Raises
    ------
    Unreadable
        Before 1970 or after 9999.
    """
    if not 0 <= at <= MAX_US:
        raise Unreadable("expected a time between the years 1970 and 9999")
    return at


def of_datetime(at: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime."""
    return (at - EPOCH) // _MICROSECOND


def to_datetime(at: int) -> datetime:
    """Aware datetime of microseconds since 1970 UTC."""
    return EPOCH + timedelta(microseconds=at)


def to_text(at: int) -> str:
    """RFC 3339 text in UTC, as short as is exact."""
    return to_datetime(at).isoformat().replace("+00:00", "Z")


def _of_text(text: str) -> int:
    upper = text.upper()
    if not _RFC3339.fullmatch(upper):
        raise Unreadable("expected an RFC 3339 time with a zone, such as 2026-03-01T12:00:00Z")
    try:
        return of_datetime(datetime.fromisoformat(upper))
    except ValueError:
        raise Unreadable("expected a date and time that exist") from None


def _of_epoch(number: float) -> int:
    size = abs(number)
    if size < 1e11:
        return round(number * 1_000_000)
    if size < 1e14:
        return round(number * 1_000)
    return round(number) if size < 1e17 else round(number) // 1_000
