"""Who is let in: by class, by how many are at work, and by how long the live ones among them will take.

Live requests never queue here, since their queue is the loop itself: one that would be late is refused at
once. The others wait a while, and only as long as they do not stand in the way of live ones.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from service.metrics import ADMITTED, UNDER_WAY, WAITED, child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from service.lag import LoopLag
    from service.live import Live


class Traffic(StrEnum):
    """Classes of requests, in the order in which they get a turn."""

    LIVE = "live"  # somebody waits for a slate or a customer
    EVENTS = "events"  # what a caller can send again: events, items, consent
    BULK = "bulk"  # batches, pages over many customers, exports


class Room(NamedTuple):
    """How many of a class may be at work, how many may wait for it, how long, and when none is let in.

    ``backlog_s`` is how long the live ones that are in will take, ``lag_s`` by how much the loop is late.
    """

    at_once: int
    waiting: int
    patience_s: float
    backlog_s: float
    lag_s: float


ROOMS: Final[Mapping[Traffic, Room]] = {
    Traffic.LIVE: Room(at_once=256, waiting=0, patience_s=0, backlog_s=0.02, lag_s=0.15),
    Traffic.EVENTS: Room(at_once=32, waiting=256, patience_s=0.5, backlog_s=0.025, lag_s=0.025),
    Traffic.BULK: Room(at_once=2, waiting=8, patience_s=0.5, backlog_s=0.01, lag_s=0.01),
}
ALWAYS: Final = 8
"""So many live requests are let in whatever the backlog is said to be, so that the next ones can correct it.

Each that is in waits for all that were before it, and so does a refusal for the loop: few are in at once.
"""
LOOK_EVERY_S: Final = 0.005
LAG_MEMORY_S: Final = 0.05


def _never() -> bool:
    return False


class Gate:
    """Who is let in, who waits and who is refused."""

    def __init__(
        self, live: Live, lag: LoopLag, rooms: Mapping[Traffic, Room] = ROOMS, *, is_away: Callable[[], bool] = _never
    ) -> None:
        self._live, self._lag, self._rooms, self._is_away = live, lag, rooms, is_away
        self._n = dict.fromkeys(Traffic, 0)
        self._queues: dict[Traffic, deque[asyncio.Future[bool]]] = {each: deque() for each in Traffic}
        self._look: asyncio.TimerHandle | None = None

    async def enter(self, traffic: Traffic) -> bool:
        """Wait for a turn; False when there is none, at once where nobody else may wait or there is nothing to do."""
        if self.is_in_vain(traffic):
            child(ADMITTED, traffic, "in_vain").inc()
            return False
        if self._has_room(traffic) and not self._queues[traffic]:
            self._let_in(traffic)
            child(ADMITTED, traffic, "at_once").inc()
            return True
        if len(self._queues[traffic]) >= self._rooms[traffic].waiting:
            child(ADMITTED, traffic, "refused").inc()
            return False
        return await self._wait(traffic)

    def is_in_vain(self, traffic: Traffic) -> bool:
        """Whether a turn would only be used to be refused: what is to be kept, while the store is away."""
        return traffic is Traffic.EVENTS and self._is_away()

    def leave(self, traffic: Traffic) -> None:
        """Give a turn back; it goes to the first who may have it."""
        self._n[traffic] -= 1
        child(UNDER_WAY, traffic).dec()
        self._hand_over()

    async def _wait(self, traffic: Traffic) -> bool:
        loop, queue = asyncio.get_running_loop(), self._queues[traffic]
        turn: asyncio.Future[bool] = loop.create_future()
        queue.append(turn)
        started = loop.time()
        timer = loop.call_later(self._rooms[traffic].patience_s, _give_up, turn, queue)
        self._look_later()
        try:
            is_in = await turn
        except asyncio.CancelledError:
            self._leave_queue(turn, traffic)
            raise
        finally:
            timer.cancel()
        child(WAITED, traffic).observe(loop.time() - started)
        child(ADMITTED, traffic, "after_waiting" if is_in else "gave_up").inc()
        return is_in

    def _leave_queue(self, turn: asyncio.Future[bool], traffic: Traffic) -> None:
        """Whoever leaves while waiting gives back a turn that came at the same moment."""
        if turn in self._queues[traffic]:
            self._queues[traffic].remove(turn)
        elif not turn.cancelled() and turn.done() and turn.result():
            self.leave(traffic)

    def _hand_over(self) -> None:
        for traffic, queue in self._queues.items():
            if queue and self.is_in_vain(traffic):
                _send_away(queue)
            while queue and self._has_room(traffic):
                turn = queue.popleft()
                if not turn.done():
                    self._let_in(traffic)
                    turn.set_result(True)

    def _look_later(self) -> None:
        """The backlog shrinks without anybody leaving here, so whoever waits for that is looked after."""
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        self._hand_over()
        if any(self._queues.values()):
            self._look_later()

    def _has_room(self, traffic: Traffic) -> bool:
        room = self._rooms[traffic]
        if traffic is Traffic.LIVE and self._n[traffic] < ALWAYS:
            return True
        if self._n[traffic] >= room.at_once or self._n[Traffic.LIVE] * self._live.turn.pace_s > room.backlog_s:
            return False
        return self._lag.since(time.monotonic() - LAG_MEMORY_S) <= room.lag_s

    def _let_in(self, traffic: Traffic) -> None:
        self._n[traffic] += 1
        child(UNDER_WAY, traffic).inc()


def _send_away(queue: deque[asyncio.Future[bool]]) -> None:
    while queue:
        turn = queue.popleft()
        if not turn.done():
            turn.set_result(False)


def _give_up(turn: asyncio.Future[bool], queue: deque[asyncio.Future[bool]]) -> None:
    if turn in queue:
        queue.remove(turn)
    if not turn.done():
        turn.set_result(False)
