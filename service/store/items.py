"""Items put over the API: kept by key, announced on the control stream that every worker tails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from features.catalog import Item
from features.ids import key64
from service.store import keys
from service.store.clients import translated
from service.store.functions import call_function

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from redis.asyncio import Redis

KEEP_ANNOUNCEMENTS: Final = 100_000
BLOCK_MS: Final = 1_000
START: Final = "0-0"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Item).decode


class Heard(NamedTuple):
    """What the control stream said: items, customer keys of the erased, and the place to go on from."""

    items: list[Item]
    erased: list[str]
    place: str


class ItemStore:
    """The catalogue changes of all workers.

    Every method raises ``StoreUnavailable``; :meth:`put` also ``StoreFull``.
    """

    def __init__(self, client: Redis, patient: Redis) -> None:
        self._client, self._patient = client, patient

    async def put(self, items: Sequence[Item]) -> None:
        """Keep and announce some items, all of them or none."""
        pairs = [part for item in items for part in (key64(item.item_id), _encode(item))]
        await call_function(self._client, "put_items", (keys.ITEMS, keys.CONTROL), (KEEP_ANNOUNCEMENTS, *pairs))

    async def with_keys(self, item_keys: Sequence[int]) -> list[Item]:
        """Those of some items that were put before."""
        with translated():
            found: Any = await self._client.hmget(keys.ITEMS, [str(key) for key in item_keys])
        return _items(found)

    async def everything(self) -> tuple[list[Item], str]:
        """All items, and the place in the control stream that they go up to at least."""
        place = await self.newest()
        with translated():
            found: Any = await self._patient.hgetall(keys.ITEMS)
        return _items(found.values()), place

    async def newest(self) -> str:
        """Place of the last announcement."""
        with translated():
            entries: Any = await self._patient.xrevrange(keys.CONTROL, count=1)
        return entries[0][0].decode() if entries else START

    async def since(self, place: str) -> Heard:
        """What was announced after a place, waiting up to a second for the first."""
        with translated():
            answer: Any = await self._patient.xread({keys.CONTROL: place}, count=1_000, block=BLOCK_MS)
        entries = [entry for batches in _streams(answer) for entry in batches]
        bodies = [(fields[b"k"], fields[b"b"]) for _, fields in entries]
        return Heard(
            _items(body for kind, body in bodies if kind == b"item"),
            [body.decode() for kind, body in bodies if kind == b"erased"],
            entries[-1][0].decode() if entries else place,
        )


def _streams(answer: Any) -> list[Any]:
    """Entries by stream; RESP3 gives a mapping to lists of batches, RESP2 pairs."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [batch for batches in answer.values() for batch in batches]
    return [entries for _, entries in answer]


def _items(found: Iterable[bytes | None]) -> list[Item]:
    """Items that can be read; what another version wrote is left to the catalogue file."""
    items = []
    for raw in found:
        try:
            if raw is not None:
                items.append(_decode(raw))
        except msgspec.MsgspecError:
            continue
    return items
