"""A bounded number of requests at work, a short queue by priority, and no more: what does not fit is told at once.

Few at once, because they share one event loop: each one more makes all others later, and the refusals with them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from service.metrics import ADMITTED, UNDER_WAY, WAITED

if TYPE_CHECKING:
    from collections.abc import Mapping


class Traffic(StrEnum):
    """Classes of requests, in the order in which they get a turn."""

    LIVE = "live"  # somebody waits for a slate or a customer
    EVENTS = "events"  # what a caller can send again: events, items, consent
    BULK = "bulk"  # batches, pages over many customers, exports


PLACES: Final = {traffic: place for place, traffic in enumerate(Traffic)}


class Room(NamedTuple):
    """How many of a class may be at work, how many may wait for it, and for how long."""

    at_once: int
    waiting: int
    patience_s: float


ROOMS: Final[Mapping[Traffic, Room]] = {
    Traffic.LIVE: Room(at_once=4, waiting=24, patience_s=0.05),
    Traffic.EVENTS: Room(at_once=4, waiting=256, patience_s=0.5),
    Traffic.BULK: Room(at_once=2, waiting=4, patience_s=0.25),
}
AT_ONCE: Final = 4
"""Of all classes together, in one worker."""
SMOOTHING: Final = 0.1


class Gate:
    """Who is let in, who waits and who is refused."""

    def __init__(self, rooms: Mapping[Traffic, Room] = ROOMS, at_once: int = AT_ONCE) -> None:
        self._rooms, self._at_once = rooms, at_once
        self._n = dict.fromkeys(Traffic, 0)
        self._queues: dict[Traffic, deque[asyncio.Future[bool]]] = {each: deque() for each in Traffic}
        self._pace_s, self._left_at = 0.0, 0.0

    async def enter(self, traffic: Traffic) -> bool:
        """Wait for a turn; False when there is none, at once where the wait would be too long."""
        if self._has_room(traffic) and not self._queues[traffic]:
            self._let_in(traffic)
            ADMITTED.labels(traffic, "at_once").inc()
            return True
        queue = self._queues[traffic]
        if len(queue) >= self._rooms[traffic].waiting or self._expected_s(traffic) > self._rooms[traffic].patience_s:
            ADMITTED.labels(traffic, "refused").inc()
            return False
        return await self._wait(traffic, queue)

    def leave(self, traffic: Traffic) -> None:
        """Give a turn back; it goes to the first who may have it."""
        self._n[traffic] -= 1
        UNDER_WAY.labels(traffic).dec()
        self._note_pace(asyncio.get_running_loop().time())
        self._hand_over()

    def _note_pace(self, now: float) -> None:
        """The mean time from one turn given back to the next, while others wait for it."""
        if any(self._queues.values()):
            self._pace_s += SMOOTHING * (now - self._left_at - self._pace_s)
        self._left_at = now

    def _expected_s(self, traffic: Traffic) -> float:
        """Wait of one who comes now: behind all of the same class and of those before it."""
        before = sum(len(self._queues[each]) for each in Traffic if PLACES[each] <= PLACES[traffic])
        return before * self._pace_s

    async def _wait(self, traffic: Traffic, queue: deque[asyncio.Future[bool]]) -> bool:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        queue.append(turn)
        started = loop.time()
        self._hand_over()
        timer = loop.call_later(self._rooms[traffic].patience_s, self._give_up, turn, queue)
        try:
            is_in = await turn
        except asyncio.CancelledError:
            self._give_up(turn, queue)
            if turn.done() and not turn.cancelled() and turn.result():
                self.leave(traffic)
            raise
        finally:
            timer.cancel()
        WAITED.labels(traffic).observe(loop.time() - started)
        ADMITTED.labels(traffic, "after_waiting" if is_in else "gave_up").inc()
        return is_in

    def _hand_over(self) -> None:
        for traffic in Traffic:
            queue = self._queues[traffic]
            while queue and self._has_room(traffic):
                turn = queue.popleft()
                if not turn.done():
                    self._let_in(traffic)
                    turn.set_result(True)

    def _has_room(self, traffic: Traffic) -> bool:
        return sum(self._n.values()) < self._at_once and self._n[traffic] < self._rooms[traffic].at_once

    def _let_in(self, traffic: Traffic) -> None:
        self._n[traffic] += 1
        UNDER_WAY.labels(traffic).inc()

    @staticmethod
    def _give_up(turn: asyncio.Future[bool], queue: deque[asyncio.Future[bool]]) -> None:
        if turn in queue:
            queue.remove(turn)
        if not turn.done():
            turn.set_result(False)
