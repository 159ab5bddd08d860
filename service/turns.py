"""One after the other: a lock a customer within this process, so that it does not compete with itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from service.deadline import NEVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.deadline import Deadline

TRIES: Final = 8
BACK_OFF_S: Final = 0.002
"""Other processes may be first: each time somebody waits up to twice as long, with jitter."""


async def _in_time(lock: asyncio.Lock, deadline: Deadline) -> bool:
    try:
        async with deadline.within():
            return await lock.acquire()
    except TimeoutError:
        return False


class Turns:
    """Locks by customer id, each kept only while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @property
    def held(self) -> int:
        """For how many customers somebody holds a turn or waits for it."""
        return len(self._locks)

    @asynccontextmanager
    async def of(self, customer_id: str, deadline: Deadline = NEVER) -> AsyncIterator[None]:
        """Wait for the customer's turn and hold it; go on without it where the deadline passes first."""
        lock, n = self._locks.get(customer_id, (None, 0))
        lock = lock or asyncio.Lock()
        self._locks[customer_id] = (lock, n + 1)
        is_held = False
        try:
            is_held = await (_in_time(lock, deadline) if lock.locked() else lock.acquire())
            yield
        finally:
            if is_held:
                lock.release()
            self._leave(customer_id)

    def _leave(self, customer_id: str) -> None:
        lock, n = self._locks[customer_id]
        if n == 1:
            del self._locks[customer_id]
        else:
            self._locks[customer_id] = (lock, n - 1)
