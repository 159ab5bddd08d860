"""What a check-up finds: one line a thing looked at."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Health(StrEnum):
    """How one thing is."""

    GOOD = "good"
    ODD = "odd"  # it works, and should be looked after
    BROKEN = "broken"  # it does not work, or promises are not kept


class Finding(NamedTuple):
    """One thing, how it is, what was seen, and what to do about it."""

    name: str
    health: Health
    seen: str
    todo: str = ""

    def __str__(self) -> str:
        todo = f"; {self.todo}" if self.todo else ""
        return f"{self.health.value:<6} {self.name:<12} {self.seen}{todo}"
