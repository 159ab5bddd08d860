"""Decision records on their way to the stream. A slate waits for its record; a lost store does not stop it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from features.errors import StoreError
from service.deadline import NEVER
from service.metrics import DECISIONS
from service.store import keys
from service.tasks import end, until_empty

if TYPE_CHECKING:
    from service.deadline import Deadline
    from service.store.coalesced import Coalesced

MAX_WAITING: Final = 10_000
RETRY_S: Final = 0.5


class DecisionLog:
    """Appends records to their partition's stream; those that a lost store did not take are sent again.

    A time-out may hide a success, so a record may come twice: its slate id makes that harmless.
    """

    def __init__(self, writes: Coalesced) -> None:
        self._writes = writes
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._redelivery: asyncio.Task[None] | None = None

    async def append(self, partition: int, record: bytes, deadline: Deadline | None = NEVER) -> None:
        """Put a record on the stream by a deadline; None only keeps it, when the store is known to be away."""
        try:
            if deadline is not None:
                async with deadline.within():
                    await self._send(partition, record)
                return
        except (StoreError, TimeoutError):
            pass  # the slate goes out all the same; the record is kept below
        self._keep(partition, record)

    async def aclose(self) -> None:
        """Send what is left, once."""
        if self._redelivery is not None:
            await end(self._redelivery)
        try:
            await self._deliver()
        except StoreError:
            DECISIONS.labels("lost").inc(len(self._waiting))

    async def _send(self, partition: int, record: bytes) -> None:
        await self._writes.call("XADD", keys.events(partition), "*", "k", "d", "b", record)
        DECISIONS.labels("written").inc()

    def _keep(self, partition: int, record: bytes) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            DECISIONS.labels("lost").inc()
        self._waiting.append((partition, record))
        if self._redelivery is None or self._redelivery.done():
            self._redelivery = asyncio.create_task(until_empty(self._waiting, self._deliver, RETRY_S))

    async def _deliver(self) -> None:
        while self._waiting:
            await self._send(*self._waiting[0])
            self._waiting.popleft()
