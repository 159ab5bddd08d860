"""One round trip of many commands over a connection that is kept for the next.

The client's pipelines do the same with a task and a time-out for the sending, a time-out an answer, retries that are
switched off and callbacks for answers of other commands: more than half of what a round trip costs a worker.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final

from hiredis import pack_command
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

Command = tuple[Any, ...]
ONCE_MORE_S: Final = 0.002
"""Between the end of all patience and a time-out: what has come by then is read."""


class Line:
    """Connections of a client's pool, in hand between shipments: to take one and give it back costs as much as to ship.

    The pool counts them as in use and closes them with all others.
    """

    def __init__(self, client: Redis) -> None:
        self._pool: Any = client.connection_pool  # which redis-py leaves without types, as parts of its connections
        self._idle: list[Any] = []

    async def take(self) -> Any:
        """A connection that is whole; one that was lost meanwhile is made anew."""
        if not self._idle:
            return await self._pool.get_connection()
        connection = self._idle.pop()
        try:
            if connection.should_reconnect():
                await connection.disconnect()
            await self._pool.ensure_connection(connection)
        except BaseException:
            await self._pool.release(connection)
            raise
        return connection

    def keep(self, connection: Any) -> None:
        """Have it at hand for the next shipment."""
        self._idle.append(connection)

    async def drop(self, connection: Any) -> None:
        """Close one that did not bring all of its answers: nobody else may read the rest."""
        try:
            await connection.disconnect(nowait=True)
        finally:
            await self._pool.release(connection)


async def shipped(line: Line, commands: Sequence[Command], patience_s: float) -> list[Any]:
    """Answers in order, with what the server says against a command in its place.

    Raises
    ------
    TimeoutError
        The next of them did not come within ``patience_s`` seconds.
    RedisError, OSError
        The connection was lost.
    """
    connection = await line.take()
    try:
        async with asyncio.timeout(None) as limit:
            watch = _Watch(limit, patience_s)
            try:
                await connection.send_packed_command(b"".join(map(pack_command, commands)))
                answers = []
                for _ in commands:
                    watch.extend()
                    answers.append(await _answer(connection))
            finally:
                watch.end()
    except BaseException:
        await line.drop(connection)
        raise
    line.keep(connection)
    return answers


class _Watch:
    """Lets a limit expire when it was not extended for so long, but not before the sockets were looked at once more.

    After it was held up a loop runs what is due before it reads what has come (libuv does), so that a time-out would
    blame the store for what this process was doing.
    """

    def __init__(self, limit: asyncio.Timeout, patience_s: float) -> None:
        self._limit, self._patience_s, self._loop = limit, patience_s, asyncio.get_running_loop()
        self._due = self._loop.time() + patience_s
        self._is_last = False
        self._handle = self._loop.call_at(self._due, self._look)

    def extend(self) -> None:
        """Wait anew; the client swallows the cancellation of a time-out that comes together with its own result."""
        if self._limit.expired():
            raise TimeoutError
        self._due, self._is_last = self._loop.time() + self._patience_s, False

    def end(self) -> None:
        """Let it expire no more."""
        self._handle.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        if now < self._due:
            self._handle = self._loop.call_at(self._due, self._look)
        elif self._is_last:
            self._limit.reschedule(now)
        else:
            self._is_last = True
            self._handle = self._loop.call_later(ONCE_MORE_S, self._look)


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(timeout=math.inf)
    except ResponseError as error:
        return error
