"""What still waits in a partition's stream, a piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from service.store import keys
from service.store.clients import translated
from service.store.drain import Entry
from service.store.items import START

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

AT_ONCE: Final = 1_000


async def waiting_entries(client: Redis, partition: int) -> AsyncIterator[Entry]:
    """Entries of one partition, oldest first.

    Raises
    ------
    StoreUnavailable
    """
    place = START
    while True:
        with translated():
            found: Any = await client.xrange(keys.events(partition), min=f"({place}", count=AT_ONCE)
        if not found:
            return
        for entry_id, fields in found:
            yield Entry(entry_id.decode(), fields[b"k"].decode(), fields[b"b"])
        place = found[-1][0].decode()
