"""What the drainer asks of the store: a lease, the ranges to write, a claim on them, and to let go of them.

A claim names exact ranges and is kept in the store before anything is written. Whoever takes over after
a crash finds it, reads the same entries, writes the same files and lets go of the same ranges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from redis.exceptions import ResponseError

from service.store import keys
from service.store.clients import translated
from service.store.erasures import LEFT
from service.store.functions import call_function
from service.store.items import START

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from redis.asyncio import Redis

    from service.store.erasures import Erasure

LEASE_MS: Final = 5_000
AT_ONCE: Final = 2_000
"""Entries taken of one partition at a time."""


class Range(msgspec.Struct, frozen=True, array_like=True):
    """Entries of one partition's stream, both ends included."""

    partition: int
    first: str
    last: str
    n: int


class Claim(msgspec.Struct, frozen=True):
    """Ranges under one name. ``is_written`` says that their files are on disk, and only letting go is left."""

    name: str
    ranges: tuple[Range, ...]
    is_written: bool = False


class Entry(msgspec.Struct, frozen=True):
    """One entry: ``e`` an event's lines, ``d`` a decision record, ``x`` an erasure."""

    id: str
    kind: str
    body: bytes


class DrainStore:
    """The store as one drainer sees it. Every method raises ``StoreUnavailable``."""

    def __init__(self, client: Redis, owner: str) -> None:
        self._client, self._owner = client, owner

    async def lease(self) -> int:
        """Fencing token of the lease, taken or renewed; 0 while another drainer holds it."""
        names = (keys.DRAIN_LEASE, keys.DRAIN_CLAIM, keys.DRAIN_WANTED)
        return int(await call_function(self._client, "lease", names, (self._owner, LEASE_MS)))

    async def want(self) -> None:
        """Have the lease left to this owner for a while, whoever holds it."""
        with translated():
            await self._client.set(keys.DRAIN_WANTED, self._owner, px=LEASE_MS)

    async def want_no_more(self) -> None:
        """Let others take the lease again."""
        with translated():
            await self._client.delete(keys.DRAIN_WANTED)

    async def release(self) -> None:
        """Give the lease back, so that the next drainer need not wait for its end."""
        await call_function(self._client, "release", (keys.DRAIN_LEASE,), (self._owner,))

    async def last_ids(self) -> dict[int, str]:
        """The last entry that each partition's stream ever had."""
        found = {}
        for partition in keys.PARTITIONS:
            with translated():
                try:
                    stream = await self._client.xinfo_stream(keys.events(partition))
                    found[partition] = _text(stream["last-generated-id"])
                except ResponseError:  # no such stream
                    found[partition] = START
        return found

    async def pending(self, upto: Mapping[int, str] | None = None) -> list[Range]:
        """What waits in the streams, at most ``AT_ONCE`` entries of each; with ``upto`` none after those places."""
        pipeline = self._client.pipeline(transaction=False)
        for partition in keys.PARTITIONS:
            pipeline.xrange(keys.events(partition), max=upto[partition] if upto else "+", count=AT_ONCE)
        with translated():
            found = await pipeline.execute()
        return [
            Range(partition, entries[0][0].decode(), entries[-1][0].decode(), len(entries))
            for partition, entries in zip(keys.PARTITIONS, found, strict=True)
            if entries
        ]

    async def read(self, ranges: tuple[Range, ...]) -> list[list[Entry]]:
        """Entries of some ranges."""
        pipeline = self._client.pipeline(transaction=False)
        for each in ranges:
            pipeline.xrange(keys.events(each.partition), each.first, each.last)
        with translated():
            found: Any = await pipeline.execute()
        return [
            [Entry(place.decode(), fields[b"k"].decode(), fields[b"b"]) for place, fields in entries]
            for entries in found
        ]

    async def since(self, places: Mapping[int, str]) -> list[tuple[int, Entry]]:
        """Entries after a place of each partition, with their partition."""
        pipeline = self._client.pipeline(transaction=False)
        for partition, place in places.items():
            pipeline.xrange(keys.events(partition), min=after(place))
        with translated():
            found: Any = await pipeline.execute()
        return [
            (partition, Entry(place.decode(), fields[b"k"].decode(), fields[b"b"]))
            for partition, entries in zip(places, found, strict=True)
            for place, fields in entries
        ]

    async def claimed(self) -> Claim | None:
        """The claim that is under way."""
        with translated():
            raw: Any = await self._client.hget(keys.DRAIN_CLAIM, "claim")
        return msgspec.json.decode(raw, type=Claim) if raw else None

    async def set_claim(self, token: int, claim: Claim | None) -> bool:
        """Change the claim; False to an owner whose lease has gone to another."""
        raw = b"" if claim is None else msgspec.json.encode(claim)
        return bool(await call_function(self._client, "claim", (keys.DRAIN_CLAIM,), (token, raw)))

    async def left_out(self, erasures: Iterable[Erasure], at: int) -> None:
        """Note that readers of the log leave these identities out since ``at`` (microseconds)."""
        pipeline = self._client.pipeline(transaction=False)
        for each in erasures:
            pipeline.hset(keys.receipt(each.receipt_id), f"{LEFT}{each.place}", at)
        with translated():
            await pipeline.execute()

    async def let_go(self, ranges: tuple[Range, ...]) -> None:
        """Remove ranges that are on disk from the streams; again does no harm."""
        pipeline = self._client.pipeline(transaction=False)
        for each in ranges:
            pipeline.xtrim(keys.events(each.partition), minid=after(each.last), approximate=False)
        with translated():
            await pipeline.execute()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def after(entry_id: str) -> str:
    """The smallest stream id after one."""
    milliseconds, _, number = entry_id.partition("-")
    return f"{milliseconds}-{int(number) + 1}"
