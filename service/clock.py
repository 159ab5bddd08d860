"""The wall clock, as a value that tests can set."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

Clock = Callable[[], int]
"""Microseconds since 1970 UTC."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def wall_clock() -> int:
    """Now, in microseconds."""
    return time.time_ns() // 1000


def moment_of(at: int) -> datetime:
    """Microseconds as an aware UTC datetime, which answers show as RFC 3339."""
    return _EPOCH + timedelta(microseconds=at)
