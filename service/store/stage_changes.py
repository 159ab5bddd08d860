"""Stage changes in the store: a stream a partition, kept for some days, read in one order by cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from service.store import keys
from service.store.clients import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis

AT_ONCE: Final = 1_000


class ChangeEntry(msgspec.Struct, frozen=True):
    """One entry: its stream id, and the record that ``service.store.customers.stage_change`` made."""

    id: str
    body: dict[str, Any]


class StageChanges:
    """The change streams. Every method raises ``StoreUnavailable``."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def after(self, places: dict[int, str], most: int) -> dict[int, list[ChangeEntry]]:
        """Entries after a place of each partition, at most so many of one, oldest first."""
        pipeline = self._client.pipeline(transaction=False)
        for partition, place in places.items():
            pipeline.xrange(keys.changes(partition), min=f"({place}", count=most)
        with translated():
            found: Any = await pipeline.execute()
        return {partition: _entries(entries) for partition, entries in zip(places, found, strict=True)}

    async def forget(self, is_erased: Callable[[dict[str, Any]], bool]) -> int:
        """Remove the changes of erased customers; how many."""
        n = 0
        for partition in keys.PARTITIONS:
            place = "0-0"
            while found := (await self.after({partition: place}, AT_ONCE))[partition]:
                place = found[-1].id
                if gone := [each.id for each in found if is_erased(each.body)]:
                    n += len(gone)
                    with translated():
                        await self._client.xdel(keys.changes(partition), *gone)
        return n


def _entries(entries: Any) -> list[ChangeEntry]:
    return [ChangeEntry(place.decode(), msgspec.json.decode(fields[b"b"])) for place, fields in entries if fields]
