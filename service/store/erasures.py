"""Erasures in the store: the tombstone that a record becomes, and receipts that say how far an erasure has come.

A tombstone and its entry for the log are one atomic step. Receipts hold times and counts, never an id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from service.store import keys
from service.store.clients import translated
from service.store.functions import call_function

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis.asyncio import Redis

    from service.store.keys import CustomerKeys

DAY_S: Final = 86_400
KEEP_RECEIPTS_S: Final = 800 * DAY_S
KEEP_ANNOUNCEMENTS: Final = 100_000
LEFT: Final = "left:"
encode_erasure: Final = msgspec.msgpack.Encoder().encode


class Erasure(msgspec.Struct, frozen=True, array_like=True):
    """One identity on its way out of the log: ``place`` counts those of one receipt; ``erased_at`` in microseconds."""

    receipt_id: str
    place: int
    customer_id: str
    member: str
    erased_at: int


decode_erasure: Final = msgspec.msgpack.Decoder(Erasure).decode


class Receipt(msgspec.Struct, frozen=True):
    """How far an erasure has come. Times in microseconds, None for what is not done.

    Attributes
    ----------
    left_out_at : int or None
        Since when every reader of the log leaves the customer out.
    log_at : int or None
        When the last file of the log that held a line of theirs was rewritten.
    file_at : int or None
        When the store's append-only file was rewritten; ``file_flaw`` says why it cannot be.
    """

    receipt_id: str
    erased_at: int
    n_identities: int
    online_at: int | None
    left_out_at: int | None
    log_at: int | None
    file_at: int | None
    file_flaw: str | None


class Erasures:
    """Tombstones and receipts. Every method raises ``StoreUnavailable``, those that write also ``StoreFull``."""

    def __init__(self, client: Redis, keep_days: int) -> None:
        self._client, self._keep_s = client, keep_days * DAY_S

    async def open_receipt(self, receipt_id: str, erased_at: int, n_identities: int) -> None:
        """Begin an erasure."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hset(keys.receipt(receipt_id), mapping={"at": erased_at, "n": n_identities})
        pipeline.expire(keys.receipt(receipt_id), KEEP_RECEIPTS_S)
        pipeline.zadd(keys.PENDING_ERASURES, {receipt_id: erased_at})
        with translated():
            await pipeline.execute()

    async def erase(self, where: CustomerKeys, erasure: Erasure) -> None:
        """Turn a record into a tombstone and tell every worker."""
        names = (
            *(where.record, keys.keyed_decisions(where), keys.events(where.partition), keys.due(where.partition)),
            *keys.stages(where.partition),
        )
        arguments = (erasure.erased_at, self._keep_s, where.member, encode_erasure(erasure))
        await call_function(self._client, "erase", names, arguments)
        with translated():
            await self._client.xadd(
                keys.CONTROL, {"k": "erased", "b": where.member}, maxlen=KEEP_ANNOUNCEMENTS, approximate=True
            )

    async def note(self, receipt_ids: Iterable[str], name: str, value: int | str) -> None:
        """Write one fact into some receipts: ``online``, ``log``, ``file`` with a time, ``flaw`` with a reason."""
        pipeline = self._client.pipeline(transaction=False)
        for receipt_id in receipt_ids:
            pipeline.hset(keys.receipt(receipt_id), name, value)
        with translated():
            await pipeline.execute()

    async def receipt(self, receipt_id: str) -> Receipt | None:
        """A receipt; None when there is none (any more)."""
        with translated():
            found: Any = await self._client.hgetall(keys.receipt(receipt_id))
        return _receipt(receipt_id, found)

    async def pending(self) -> list[Receipt]:
        """Receipts of what is not erased everywhere yet, the oldest first."""
        with translated():
            names: Any = await self._client.zrange(keys.PENDING_ERASURES, 0, -1)
        found = [(name.decode(), await self.receipt(name.decode())) for name in names]
        await self.settle(name for name, receipt in found if receipt is None)
        return [receipt for _, receipt in found if receipt is not None]

    async def settle(self, receipt_ids: Iterable[str]) -> None:
        """Take receipts off the list of what is to do."""
        if names := list(receipt_ids):
            with translated():
                await self._client.zrem(keys.PENDING_ERASURES, *names)


def _receipt(receipt_id: str, found: dict[bytes, bytes]) -> Receipt | None:
    if b"at" not in found:
        return None
    n = int(found[b"n"])
    left = [int(at) for name, at in found.items() if name.startswith(LEFT.encode())]
    return Receipt(
        receipt_id=receipt_id,
        erased_at=int(found[b"at"]),
        n_identities=n,
        online_at=_time(found, b"online"),
        left_out_at=max(left) if len(left) >= n else None,
        log_at=_time(found, b"log"),
        file_at=_time(found, b"file"),
        file_flaw=found[b"flaw"].decode() if b"flaw" in found else None,
    )


def _time(found: dict[bytes, bytes], name: bytes) -> int | None:
    return int(found[name]) if name in found else None
