"""Commands of concurrent requests, sent to Redis together.

One round trip costs a worker about 80 µs of its loop, a command within a shared one about 15 µs. While
one shipment is under way the next gathers, so under load many requests share a round trip and alone
none waits for company. A request that is cancelled leaves its shipment as it is: a connection never
carries an answer that nobody reads.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout

from features.errors import StoreUnavailable
from service.ladder import STORE_REASONS, Reason
from service.lag import LoopLag
from service.store.breaker import Breaker
from service.store.clients import BACKGROUND, FAULTS, READS, WRITES, Patience, reason_of, translation
from service.store.functions import is_missing, library
from service.store.shipment import Line, shipped

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_UNDER_WAY: Final = 2
"""Shipments at the same time: few, so that they are full; two, so that one that stalls does not hold up all."""
MAX_COMMANDS: Final = 256
QUICK_S: Final = 0.01
"""A connection that fails sooner was lost before; one that fails later had a store behind it that does not answer."""
BLAME: Final = 0.5
"""Of a call's patience: when the loop was held up for as long, a time-out says that this process was busy."""
Waiting = tuple[tuple[Any, ...], "asyncio.Future[Any]"]


class Coalesced:
    """Gathers commands and ships them as pipelines over one client, while its breaker lets it."""

    def __init__(self, client: Redis, patience: Patience, breaker: Breaker, lag: LoopLag | None = None) -> None:
        self._client, self._patience, self._breaker = client, patience, breaker
        self._line = Line(client)
        self._lag = lag or LoopLag()
        self._waiting: list[Waiting] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_scheduled = False

    @property
    def is_barred(self) -> bool:
        """Whether every call would be refused now without asking the store."""
        return self._breaker.bars

    def call(self, *command: Any) -> asyncio.Future[Any]:
        """Answer of one command; awaiting it raises ``StoreUnavailable``, ``StoreFull``."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._breaker.allows():
            _settle(future, StoreUnavailable("the store has not answered for a while", reason=self._breaker.reason))
            return future
        self._waiting.append((command, future))
        if not self._is_scheduled and len(self._under_way) < MAX_UNDER_WAY:
            self._ship()
        return future

    async def aclose(self) -> None:
        """Wait for what is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _ship(self) -> None:
        self._is_scheduled = True
        task = asyncio.create_task(self._send())
        self._under_way.add(task)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._waiting and not self._is_scheduled:
            self._ship()

    async def _send(self) -> None:
        """Send what has gathered until this task runs."""
        self._is_scheduled = False
        batch, self._waiting = self._waiting[:MAX_COMMANDS], self._waiting[MAX_COMMANDS:]
        started = time.monotonic()
        try:
            answers = await self._answers([command for command, _ in batch], started)
        except FAULTS as error:
            if not (isinstance(error, TimeoutError | RedisTimeout) and self._was_busy(started)):
                self._breaker.failed(reason_of(error))
            answers = [error] * len(batch)
        else:
            self._note(answers)
        for (_, future), answer in zip(batch, answers, strict=True):
            _settle(future, answer)

    def _note(self, answers: list[Any]) -> None:
        """A server that only says why it cannot answer is as good as away; one without room is not."""
        reasons = {reason_of(each) if isinstance(each, Exception) else None for each in answers}
        if len(reasons) == 1 and (reason := reasons.pop()) in STORE_REASONS - {Reason.STORE_UNAVAILABLE}:
            self._breaker.failed(reason)
        else:
            self._breaker.succeeded()

    def _was_busy(self, started: float) -> bool:
        return self._lag.since(started) >= BLAME * self._patience.answer_s

    async def _shipped(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        return await shipped(self._line, commands, self._patience.answer_s)

    async def _answers(self, commands: list[tuple[Any, ...]], started: float) -> list[Any]:
        try:
            answers = await self._shipped(commands)
        except RedisConnectionError:
            if not self._patience.retries or time.monotonic() - started > QUICK_S:
                raise
            answers = await self._shipped(commands)
        if missing := [row for row, answer in enumerate(answers) if is_missing(answer)]:
            await self._client.function_load(library(), replace=True)
            again = await self._shipped([commands[row] for row in missing])
            for row, answer in zip(missing, again, strict=True):
                answers[row] = answer
        return answers


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():  # its caller has left
        return
    if isinstance(answer, Exception):
        future.set_exception(answer if isinstance(answer, StoreUnavailable) else translation(answer))
        future.exception()  # a caller that leaves now does not have to look
    else:
        future.set_result(answer)


class Calls(NamedTuple):
    """The two ways to the store: short patience for reads, longer for writes."""

    reads: Coalesced
    writes: Coalesced

    @classmethod
    def over(cls, reads: Redis, writes: Redis, lag: LoopLag | None = None) -> Calls:
        """What requests use."""
        return cls(Coalesced(reads, READS, Breaker("reads"), lag), Coalesced(writes, WRITES, Breaker("writes"), lag))

    @classmethod
    def patient(cls, client: Redis) -> Calls:
        """What works behind them, over one client."""
        calls = Coalesced(client, BACKGROUND, Breaker("background"))
        return cls(calls, calls)
