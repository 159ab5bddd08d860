"""A breaker: a store that failed several times in a row is not waited for by everybody, only asked now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from service.metrics import STORE_UP

if TYPE_CHECKING:
    from collections.abc import Callable

FAILURES: Final = 3
PROBE_EVERY_S: Final = 0.5


class Breaker:
    """Closed while calls succeed; open after ``FAILURES`` in a row, when one call in half a second goes through."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._up, self._clock = STORE_UP.labels(name), clock
        self._n_failed = 0
        self._next_probe = 0.0
        self._up.set(1)

    @property
    def is_open(self) -> bool:
        """Whether the store is taken to be away."""
        return self._n_failed >= FAILURES

    def allows(self) -> bool:
        """Whether a call may go now; when open, the first to ask is the probe."""
        if not self.is_open:
            return True
        now = self._clock()
        if now < self._next_probe:
            return False
        self._next_probe = now + PROBE_EVERY_S
        return True

    def succeeded(self) -> None:
        """Close: the store answers."""
        if self._n_failed:
            self._n_failed = 0
            self._up.set(1)

    def failed(self) -> None:
        """Count one call that the store did not answer."""
        self._n_failed += 1
        if self._n_failed == FAILURES:
            self._up.set(0)
        self._next_probe = self._clock() + PROBE_EVERY_S
