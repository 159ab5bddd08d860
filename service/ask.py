"""One slate that somebody asks for, read once and passed on: whose, what, under which key, by when."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from service.deadline import NEVER
from service.deciding import request_of
from service.keyed import Key, key_of
from service.models import SlateOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from recommender.slate import SlateRequest
    from service.deadline import Deadline
    from service.live import Live
    from service.store.keys import CustomerKeys


MAX_READ: Final = 256
AT_ONCE: Final = 4
"""Lines of a batch under way where nobody live is about; else one, of all batches of a worker."""


@dataclass(frozen=True)
class Batch:
    """What the slates of one batch share.

    ``taken`` are the items of each customer's slates so far, by the id of the head; None where they may repeat each
    other. One slate is decided at a time, so that live traffic is held up by one decision at most.
    """

    taken: dict[str, list[str]] | None = None
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @classmethod
    def of(cls, *, is_distinct: bool) -> Batch:
        """A new batch."""
        return cls(defaultdict(list) if is_distinct else None)

    @asynccontextmanager
    async def room(self, live: Live) -> AsyncIterator[None]:
        """Be one of a few lines under way; where somebody live is about, the only one, and after who waits for a slate.

        A live slate meets other work at each of its steps, and all lines under way at each of them. The wait comes
        before the customer's turn, which somebody live may want as well.
        """
        async with self._room:
            if not live.is_about:
                yield
                return
            async with live.only_line:
                await live.let_pass()
                yield

    def without_taken(self, request: SlateRequest, customer_id: str) -> SlateRequest:
        """A request less what the customer's other slates show."""
        taken = () if self.taken is None else tuple(self.taken.get(customer_id, ()))
        return replace(request, exclude=(*request.exclude, *taken)) if taken else request

    def take(self, customer_id: str, item_ids: Iterable[str]) -> None:
        """Note the items of one of a customer's slates, before it is reserved: the next may be decided by then."""
        if self.taken is not None:
            self.taken[customer_id].extend(item_ids)

    def give_back(self, customer_id: str, item_ids: Iterable[str]) -> None:
        """Free the items of a slate that does not go out."""
        if self.taken is not None:
            gone = set(item_ids)
            self.taken[customer_id] = [each for each in self.taken[customer_id] if each not in gone]


@dataclass(frozen=True)
class Ask:
    """A slate of one customer; ``key`` None where it need not be the same again."""

    customer_id: str
    where: CustomerKeys
    options: SlateOptions
    request: SlateRequest
    key: Key | None
    deadline: Deadline = NEVER
    batch: Batch | None = None

    @classmethod
    def of(
        cls,
        customer_id: str,
        where: CustomerKeys,
        options: SlateOptions,
        deadline: Deadline = NEVER,
        batch: Batch | None = None,
    ) -> Ask:
        """What a caller wants."""
        request, key = _read_once(options) if type(options) is SlateOptions else _read(options)
        return cls(customer_id, where, options, request, key, deadline, batch)


def _read(options: SlateOptions) -> tuple[SlateRequest, Key | None]:
    """What the engine is asked and under which key."""
    request = request_of(options)
    return request, key_of(options.decision_key, request)


_read_once = lru_cache(MAX_READ)(_read)
"""For options that name no subject: one page or campaign asks many times for the same."""
