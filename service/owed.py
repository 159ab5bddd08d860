"""Keyed slates that went out while the store was away: given again meanwhile, written when it is back.

What is kept in the store wins. A slate that finds nothing under its key is kept and reserved as it went out.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from features.errors import StoreContended, StoreError
from service.metrics import OWED
from service.tasks import end, until_empty

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from service.deciding import Decided
    from service.keyed import Key

MAX_OWED: Final = 10_000
RETRY_S: Final = 0.5
LAST_TRIES: Final = 3


class Owing(NamedTuple):
    """A slate that has to be written, and its key."""

    customer_id: str
    key: Key
    decided: Decided


class Owed:
    """The slates that one worker owes, by customer key and field, oldest first."""

    def __init__(self, settle: Callable[[Owing], Awaitable[None]]) -> None:
        self._settle = settle
        self._owing: OrderedDict[tuple[str, bytes], Owing] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def get(self, member: str, key: Key) -> Owing | None:
        """The slate that went out under a key."""
        return self._owing.get((member, key.field))

    def put(self, member: str, owing: Owing) -> None:
        """Owe a slate."""
        self._owing[member, owing.key.field] = owing
        if len(self._owing) > MAX_OWED:
            self._owing.popitem(last=False)
            OWED.labels("lost").inc()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(until_empty(self._owing, self._deliver, RETRY_S))

    def settled(self, member: str, key: Key) -> None:
        """Owe a slate no longer."""
        if self._owing.pop((member, key.field), None) is not None:
            OWED.labels("settled").inc()

    def forget(self, members: Iterable[str]) -> None:
        """Owe nothing to some customers: they were erased."""
        gone = set(members)
        for each in [each for each in self._owing if each[0] in gone]:
            del self._owing[each]

    async def aclose(self) -> None:
        """Write what is left; what somebody else comes between is tried again a few times."""
        if self._task is not None:
            await end(self._task)
        with suppress(StoreError):
            for _ in range(LAST_TRIES):
                await self._deliver()
        OWED.labels("lost").inc(len(self._owing))

    async def _deliver(self) -> None:
        """Write what can be written; one that cannot be holds up no other.

        Raises
        ------
        StoreError
            The store is away.
        """
        for (member, field), owing in list(self._owing.items()):
            if self._owing.get((member, field)) is not owing:  # a request has written it meanwhile
                continue
            try:
                await self._settle(owing)
            except StoreContended:
                continue
            self.settled(member, owing.key)
