"""What a worker has just read or written of its customers: answers from it when the store is away."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from service.clock import Clock

MAX_CUSTOMERS: Final = 4_096
MAX_AGE_US: Final = 15 * 60 * 1_000_000


class Recently:
    """Stored states by customer key, the least recently used given up first."""

    def __init__(self, clock: Clock, max_customers: int = MAX_CUSTOMERS) -> None:
        self._clock, self._max = clock, max_customers
        self._states: OrderedDict[str, tuple[bytes, int]] = OrderedDict()

    def put(self, member: str, raw: bytes | None) -> None:
        """Remember a state as stored; None forgets it."""
        self._states.pop(member, None)
        if raw is None:
            return
        self._states[member] = (raw, self._clock())
        if len(self._states) > self._max:
            self._states.popitem(last=False)

    def clear(self) -> None:
        """Forget everybody."""
        self._states.clear()

    def get(self, member: str) -> bytes | None:
        """A state of the last 15 minutes."""
        raw, at = self._states.get(member, (None, 0))
        return raw if self._clock() - at <= MAX_AGE_US else None
