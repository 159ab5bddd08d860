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


class LastSeen:
    """The clock of another host, as it was last seen and has gone on since by this host's monotonic one.

    A step of this host's own wall clock changes nothing in it.
    """

    def __init__(self) -> None:
        self._ahead_us: int | None = None

    def __call__(self) -> int:
        """Microseconds since 1970 UTC; 0 before it was first seen."""
        return 0 if self._ahead_us is None else time.monotonic_ns() // 1000 + self._ahead_us

    def saw(self, seconds: int, microseconds: int) -> None:
        """Take in what ``TIME`` answered."""
        self._ahead_us = seconds * 1_000_000 + microseconds - time.monotonic_ns() // 1000


def moment_of(at: int) -> datetime:
    """Microseconds as an aware UTC datetime, which answers show as RFC 3339."""
    return _EPOCH + timedelta(microseconds=at)
