"""One after the other: a lock a customer within this process, so that it does not compete with itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from service.deadline import NEVER

if TYPE_CHECKING:
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


class CustomerTurn:
    """One request's turn with a customer: held, or gone on without, within ``async with``."""

    __slots__ = ("_customer_id", "_deadline", "_is_held", "_lock", "_locks")

    def __init__(self, locks: dict[str, tuple[asyncio.Lock, int]], customer_id: str, deadline: Deadline) -> None:
        self._locks, self._customer_id, self._deadline = locks, customer_id, deadline
        self._is_held = False

    async def __aenter__(self) -> None:
        lock, n = self._locks.get(self._customer_id, (None, 0))
        self._lock = lock = lock or asyncio.Lock()
        self._locks[self._customer_id] = (lock, n + 1)
        try:
            self._is_held = await (_in_time(lock, self._deadline) if lock.locked() else lock.acquire())
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        if self._is_held:
            self._lock.release()
        self._leave()

    def _leave(self) -> None:
        lock, n = self._locks[self._customer_id]
        if n == 1:
            del self._locks[self._customer_id]
        else:
            self._locks[self._customer_id] = (lock, n - 1)


class Turns:
    """Locks by customer id, each kept only while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @property
    def held(self) -> int:
        """For how many customers somebody holds a turn or waits for it."""
        return len(self._locks)

    def of(self, customer_id: str, deadline: Deadline = NEVER) -> CustomerTurn:
        """Wait for the customer's turn and hold it; go on without it where the deadline passes first."""
        return CustomerTurn(self._locks, customer_id, deadline)
