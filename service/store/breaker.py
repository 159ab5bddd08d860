"""A breaker: a store that fails is not waited for by everybody, only asked now and then.

It opens after a run of failures, which is how a store that is gone or frozen looks and is seen within
milliseconds, or when at least half of twenty or more calls in ten seconds failed, which is how a bad
network looks, where no run is long.
"""

from __future__ import annotations

import random
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from service.ladder import Reason
from service.metrics import PROBES, STORE_UP

if TYPE_CHECKING:
    from collections.abc import Callable

RUN: Final = 3
WINDOW_S: Final = 10.0
LEAST_CALLS: Final = 20
SHARE: Final = 0.5
PROBE_EVERY_S: Final = 2.0
JITTER: Final = 0.25
"""Of the pause, added at random, so that workers do not probe together."""
SUCCESSES: Final = 3
PROBE_PATIENCE_S: Final = 1.0
"""After so long a probe is taken to be lost with its caller."""
log = structlog.get_logger()


class Breaker:
    """Closed while calls succeed; open, one call in two seconds goes through, until one succeeds.

    Then all go, or those who ask in the milliseconds until three have succeeded would be refused by a store that is
    there: the third closes it, and one that fails opens it for the whole pause again.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic, seed: int | None = None) -> None:
        self._name, self._clock, self._dice = name, clock, random.Random(seed)  # noqa: S311 - jitter, not a secret
        self._up, self._probes = STORE_UP.labels(name), PROBES.labels(name)
        self._calls: deque[tuple[float, bool]] = deque()
        self._n_failed = self._run = self._successes = 0
        self._next_probe = 0.0
        self.is_open = False
        self.reason = Reason.STORE_UNAVAILABLE
        self._up.set(1)

    def allows(self) -> bool:
        """Whether a call may go now; when open, the first to ask is the probe."""
        if not self.is_open or self._answers_again:
            return True
        now = self._clock()
        if now < self._next_probe:
            return False
        self._next_probe = now + PROBE_PATIENCE_S
        self._probes.inc()
        return True

    @property
    def bars(self) -> bool:
        """Whether no call may go now, not even to probe; asking changes nothing."""
        return self.is_open and not self._answers_again and self._clock() < self._next_probe

    @property
    def _answers_again(self) -> bool:
        return self._successes > 0

    def succeeded(self) -> None:
        """A call was answered."""
        self._run = 0
        if not self.is_open:
            self._note(failed=False)
            return
        self._successes += 1
        if self._successes == SUCCESSES:
            self._close()

    def failed(self, reason: Reason = Reason.STORE_UNAVAILABLE) -> None:
        """A call was not answered, or only with why it cannot be."""
        self.reason = reason
        self._run += 1
        self._note(failed=True)
        if self.is_open or self._run >= RUN or self._is_mostly_failing():
            self._open()

    def _is_mostly_failing(self) -> bool:
        return len(self._calls) >= LEAST_CALLS and self._n_failed >= SHARE * len(self._calls)

    def _note(self, *, failed: bool) -> None:
        now = self._clock()
        self._calls.append((now, failed))
        self._n_failed += failed
        while self._calls[0][0] < now - WINDOW_S:
            self._n_failed -= self._calls.popleft()[1]

    def _open(self) -> None:
        if not self.is_open:
            log.warning("store_away", calls=self._name, reason=str(self.reason))
            self._up.set(0)
        self.is_open, self._successes = True, 0
        self._next_probe = self._clock() + PROBE_EVERY_S * (1 + self._dice.uniform(0, JITTER))

    def _close(self) -> None:
        log.warning("store_back", calls=self._name)
        self._up.set(1)
        self.is_open = False
        self._calls.clear()
        self._n_failed = self._run = self._successes = 0
