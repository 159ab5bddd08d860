"""How much time an answer has left, and whether the next step still fits into it.

A step that does not fit is not started: the answer goes down the ladder instead. What fits is measured: each
step has a floor, the running 90 % quantile of what it took in this worker.
"""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from service.metrics import STEP_SECONDS, child
from service.problems import Flaw, InvalidRequest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

HEADER: Final = "x-deadline-ms"
_NAME: Final = HEADER.encode()
LEAST_MS: Final = 10
MOST_MS: Final = 1_000
DEFAULT_MS: Final = 150
SENDING_MS: Final = 2
"""What of a caller's time is kept for making the answer and sending it, after the last step that may be waited for."""
ARRIVED: Final = "rihla.arrived"


class Step(StrEnum):
    """The steps of one slate that take time."""

    READ = "read"
    DECIDE = "decide"
    RECORD = "record"


class Deadline:
    """A moment (monotonic seconds) by which an answer has to be ready."""

    def __init__(self, at: float) -> None:
        self._at = at

    @classmethod
    def after_ms(cls, ms: float, *, since: float | None = None) -> Deadline:
        """For a caller who waits so many milliseconds from now, or from ``since``; clamped to 10…1000."""
        start = time.monotonic() if since is None else since
        return cls(start + (min(max(ms, LEAST_MS), MOST_MS) - SENDING_MS) / 1000)

    @property
    def remaining_s(self) -> float:
        """Seconds left; negative when it has passed."""
        return self._at - time.monotonic()

    def within(self, *, reserve_s: float = 0.0) -> asyncio.Timeout:
        """Give up waiting when only ``reserve_s`` seconds are left.

        Raises
        ------
        TimeoutError
        """
        return asyncio.timeout(None if self._at == float("inf") else max(0.0, self.remaining_s - reserve_s))


NEVER: Final = Deadline(float("inf"))
"""Bulk work: whoever asks for a thousand slates waits for them."""


def mark_arrival(scope: Scope) -> None:
    """Note when a request came, before it waits for its turn."""
    scope[ARRIVED] = time.monotonic()


def deadline_of(request: Request) -> Deadline:
    """The deadline that a caller has set with ``X-Deadline-Ms``, counted from the request's arrival.

    Raises
    ------
    InvalidRequest
        The header is no whole number.
    """
    since = request.scope.get(ARRIVED)
    given = next((value for name, value in request.scope["headers"] if name == _NAME), None)
    if given is None:
        return Deadline.after_ms(DEFAULT_MS, since=since)
    if not (given.isdigit() and len(given) <= 9):
        raise InvalidRequest((Flaw(f"/headers/{HEADER}", "int_parsing", "expected whole milliseconds"),))
    return Deadline.after_ms(int(given), since=since)


class Floors:
    """What each step takes in this worker: the running 90 % quantile, seconds.

    Notes
    -----
    Ma, Muthukrishnan and Sandler 2013, "Frugal streaming for estimating quantiles", with steps in proportion:
    up by ``RATE`` times .9 when a step took longer, down by ``RATE`` times .1 when it did not. A step that was
    passed over lowers its floor too, so that one slow minute does not keep it from being tried again, and all
    floors together stay under the default deadline.
    """

    RATE: Final = 0.05
    SHARE: Final = 0.9
    FIRST_S: Final = 0.003
    LEAST_S: Final = 0.0005
    MOST_S: Final = 0.04

    def __init__(self) -> None:
        self._floor_s = dict.fromkeys(Step, self.FIRST_S)

    def __getitem__(self, step: Step) -> float:
        return self._floor_s[step]

    def fits(self, deadline: Deadline, *steps: Step) -> bool:
        """Whether the first of some steps may start, so that all of them end in time."""
        if deadline.remaining_s >= sum(map(self._floor_s.__getitem__, steps)):
            return True
        self._move(steps[0], 1 - self.RATE * (1 - self.SHARE))
        return False

    def timed(self, step: Step) -> Timed:
        """Measure one step."""
        return Timed(self, step)

    def saw(self, step: Step, took_s: float) -> None:
        """Take in how long a step took."""
        child(STEP_SECONDS, step).observe(took_s)
        is_longer = took_s > self._floor_s[step]
        self._move(step, 1 + self.RATE * self.SHARE if is_longer else 1 - self.RATE * (1 - self.SHARE))

    def _move(self, step: Step, factor: float) -> None:
        self._floor_s[step] = min(max(self._floor_s[step] * factor, self.LEAST_S), self.MOST_S)


class Timed:
    """One step of one slate, measured within ``with``."""

    __slots__ = ("_floors", "_started", "_step")

    def __init__(self, floors: Floors, step: Step) -> None:
        self._floors, self._step = floors, step

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._floors.saw(self._step, time.perf_counter() - self._started)
