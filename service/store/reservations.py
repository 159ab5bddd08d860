"""Reserving a slate: the one atomic step in which it is remembered, logged and, if it has a key, kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from features.errors import StoreUnavailable
from service.store import keys
from service.store.exposures import memory_in, origin_of, stamp_of, stamped
from service.store.functions import call
from service.store.kept import KEEP_S

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from recommender.exposure import Exposure
    from service.store.coalesced import Calls
    from service.store.keys import CustomerKeys
    from service.store.record import Record

LIVE_S: Final = 86_400
"""Of a customer of whom nothing else is known: as long as clicks without a slate id are joined to what was shown."""


class Reservation(NamedTuple):
    """A slate to be reserved; ``items`` are item keys and kinds, ``at`` is in microseconds.

    ``record`` is the decision record for the log.
    """

    slate_id: str
    items: Sequence[tuple[int, str]]
    channel: str
    ttl_s: int
    at: int
    record: bytes


class Keep(NamedTuple):
    """What is to be kept under a decision key; ``before`` is what was found there, b"" for nothing."""

    field: bytes
    value: bytes
    before: bytes = b""


class Reservations:
    """Every method raises ``StoreUnavailable``; :meth:`reserve` also ``StoreFull``."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def ask_kept(self, where: CustomerKeys, field: bytes) -> asyncio.Future[Any]:
        """Ask what is kept under a decision key; :meth:`kept` reads the answer."""
        return self._calls.reads.call("HGET", keys.keyed_decisions(where), field)

    async def kept(self, asked: asyncio.Future[Any]) -> bytes | None:
        """What is kept under a decision key."""
        found = await asked
        if found is not None and not isinstance(found, bytes):
            raise StoreUnavailable("the store answers in another form than was asked for")
        return found

    async def reserve(
        self, head: Record, slate: Reservation, keep: Keep | None = None, memory: Exposure | None = None
    ) -> bool | bytes:
        """Reserve a slate on top of what was read of a customer's head; ``memory`` is the head's own, if it is at hand.

        Returns
        -------
        bool or bytes
            False where another slate, a sign or an erasure came between; what is kept under the key, where that is
            no longer ``keep.before``.
        """
        where, now = head.keys, slate.at // 1_000
        memory = memory_in(head.exposure) if memory is None else memory
        memory = memory.with_slate(slate.slate_id, slate.items, slate.ttl_s, slate.channel)
        args = (
            *(stamp_of(head.exposure), head.erased_at or "", head.customer_id),
            *(stamped(memory.pruned(now, origin_of(where))), max(slate.ttl_s, LIVE_S), slate.record),
            *(("", "", "") if keep is None else (keep.field, keep.before, keep.value)),
            KEEP_S,
        )
        names = (where.record, keys.events(where.partition), keys.keyed_decisions(where))
        answer = await self._calls.writes.call(*call("reserve", names, args))
        return answer if isinstance(answer, bytes) else bool(answer)
