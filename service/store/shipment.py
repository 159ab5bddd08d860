"""One round trip of many commands over a connection of the pool.

The client's pipelines do the same with a task and a time-out for the sending, a time-out an answer, retries that are
switched off and callbacks for answers of other commands: more than half of what a round trip costs a worker.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from hiredis import pack_command
from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

Command = tuple[Any, ...]


async def shipped(client: Redis, commands: Sequence[Command], patience_s: float) -> list[Any]:
    """Answers in order, with what the server says against a command in its place.

    A connection that did not bring all of its answers is closed: nobody else may read the rest.

    Raises
    ------
    TimeoutError
        The next of them did not come within ``patience_s`` seconds.
    RedisError, OSError
        The connection was lost.
    """
    connect: Any = client.connection_pool.get_connection  # which redis-py leaves without types
    connection = await connect()
    try:
        async with asyncio.timeout(patience_s) as limit:
            await connection.send_packed_command(b"".join(map(pack_command, commands)))
            answers = []
            for _ in commands:
                _extend(limit, patience_s)
                answers.append(await _answer(connection))
            return answers
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    finally:
        await client.connection_pool.release(connection)


def _extend(limit: asyncio.Timeout, patience_s: float) -> None:
    """Wait anew; the client swallows the cancellation of a time-out that comes together with its own result."""
    if limit.expired():
        raise TimeoutError
    ends_at = asyncio.get_running_loop().time() + patience_s
    if ends_at != limit.when():  # answers that come together come at one time of the loop
        limit.reschedule(ends_at)


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(timeout=math.inf)
    except ResponseError as error:
        return error
