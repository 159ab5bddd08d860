"""Writers that send one event after the other, each under an id of its own, and remember what they were told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import redis

from features.events import Line
from tests.reliability.history import Op
from tests.reliability.load import Connection
from tests.reliability.shop import view

PAUSE_S = 0.02
NEVER_ANSWERED = -1
"""The connection broke before it had answered anything: its listener was on its way out."""


class Writers:
    """Some concurrent writers against one port; ``history`` grows while they write."""

    def __init__(self, port: int, n: int, prefix: str) -> None:
        self._port, self._n, self._prefix = port, n, prefix
        self.history: list[Op] = []

    async def write(self, is_over: Callable[[], bool]) -> None:
        """Write until it is over; what is under way is finished."""
        await asyncio.gather(*(self._writer(number, is_over) for number in range(self._n)))

    async def _writer(self, number: int, is_over: Callable[[], bool]) -> None:
        connection, turn = None, 0
        while not is_over():
            event_id = f"{self._prefix}-{number}-{turn}"
            began, status = time.monotonic(), 0
            try:
                if connection is None or not connection.is_open:
                    loop = asyncio.get_running_loop()
                    status = NEVER_ANSWERED
                    _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
                answered, _ = await connection.ask(view(event_id, f"w-{number}"))
                status = answered or status
            except OSError:
                connection = None
            outcome = "ok" if status == 202 else "unknown"
            self.history.append(Op(event_id, outcome, began, time.monotonic(), status))
            turn += 1
            if status != 202:
                await asyncio.sleep(PAUSE_S)
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
            await asyncio.sleep(0)


def stored_ids(client: redis.Redis, prefix: str) -> list[str]:
    """Ids on the streams, as often as they are there."""
    found: list[str] = []
    for key in client.scan_iter("rihla:*:events"):
        bodies = [fields[b"b"] for _, fields in client.xrange(key) if fields[b"k"] == b"e"]
        lines = [msgspec.msgpack.decode(body, type=tuple[Line, ...])[0] for body in bodies]
        found += [line.event_id for line in lines if line.event_id.startswith(prefix)]
    return found
