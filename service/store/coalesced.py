"""Commands of concurrent requests, sent to Redis together.

One round trip costs a worker about 80 µs of its loop, a command within a shared one about 15 µs. While
one shipment is under way the next gathers, so under load many requests share a round trip and alone
none waits for company. A request that is cancelled leaves its shipment as it is: a connection never
carries an answer that nobody reads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import RedisError

from service.store.clients import translation
from service.store.functions import is_missing, library

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_UNDER_WAY: Final = 2
"""Shipments at the same time: few, so that they are full; two, so that one that stalls does not hold up all."""
MAX_COMMANDS: Final = 256
Waiting = tuple[tuple[Any, ...], "asyncio.Future[Any]"]


class Coalesced:
    """Gathers commands and ships them as pipelines over one client."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._waiting: list[Waiting] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_scheduled = False

    def call(self, *command: Any) -> asyncio.Future[Any]:
        """Answer of one command; awaiting it raises ``StoreUnavailable``, ``StoreFull``."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((command, future))
        if not self._is_scheduled and len(self._under_way) < MAX_UNDER_WAY:
            self._is_scheduled = True
            loop.call_soon(self._ship)
        return future

    async def aclose(self) -> None:
        """Wait for what is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _ship(self) -> None:
        self._is_scheduled = False
        batch, self._waiting = self._waiting[:MAX_COMMANDS], self._waiting[MAX_COMMANDS:]
        task = asyncio.create_task(self._send(batch))
        self._under_way.add(task)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._waiting and not self._is_scheduled:
            self._ship()

    async def _send(self, batch: list[Waiting]) -> None:
        try:
            answers = await self._answers([command for command, _ in batch])
        except (TimeoutError, RedisError, OSError) as error:
            answers = [error] * len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(translation(answer))
                future.exception()  # a caller that left does not have to look
            else:
                future.set_result(answer)

    async def _answers(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        answers = await self._pipeline(commands)
        missing = [row for row, answer in enumerate(answers) if is_missing(answer)]
        if missing:
            await self._client.function_load(library(), replace=True)
            again = await self._pipeline([commands[row] for row in missing])
            for row, answer in zip(missing, again, strict=True):
                answers[row] = answer
        return answers

    async def _pipeline(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)


class Calls(NamedTuple):
    """The two ways to the store: short patience for reads, longer for writes."""

    reads: Coalesced
    writes: Coalesced
