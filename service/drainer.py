"""The drainer: what workers accepted goes from the streams to Parquet, each record once.

One round: take the lease; note the exact ranges in the store (the claim); write files that are named
after the claim; mark the claim as written; let go of the ranges. A crash after any step is repaired by
the next round, of this drainer or of another: a claim that is not written is written again under the
same names, so nothing doubles; one that is written is only let go of. A drainer that was overtaken in
the middle can rename the same content into the same place, and is refused everything else by its token.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import structlog

from features.errors import StoreError
from features.events import Line
from service.cleaner import clean_for_ever
from service.clock import wall_clock
from service.day_files import merge_catalog, write_decisions, write_events
from service.decisions import Decision, decode_decision
from service.epoch import Epoch
from service.erased_files import ErasedFiles
from service.log_files import other_identity, without_other
from service.metrics import DRAINED
from service.process import run_process, wait
from service.rejects import keep_unreadable
from service.store.clients import BACKGROUND, redis_client
from service.store.drain import AT_ONCE, Claim, DrainStore, Entry, Range
from service.store.erasures import Erasure, decode_erasure
from service.store.items import START, ItemStore
from service.tasks import end
from service.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from features.settings import Settings

LAST_ROUND_S: Final = 8.0
WAIT_FOR_LEASE_S: Final = 0.1
_decode_lines = msgspec.msgpack.Decoder(tuple[Line, ...]).decode
log = structlog.get_logger()


class Read(NamedTuple):
    """What the entries of a claim hold, by kind."""

    lines: list[Line]
    decisions: list[Decision]
    erasures: list[Erasure]


class Drainer:
    """Moves records from the streams to ``data``."""

    def __init__(self, store: DrainStore, data: Path) -> None:
        self._store, self._data = store, data
        self._erased = ErasedFiles(data)

    async def round(self, upto: Mapping[int, str] | None = None) -> int | None:
        """One round; how many entries were moved, None while another drainer holds the lease.

        With ``upto`` nothing after those places of the streams is begun on.

        Raises
        ------
        StoreError
            The store went away; the next round repairs what was begun.
        OSError
            The disk does not take the files; the entries stay in the store.
        """
        token = await self._store.lease()
        if not token:
            return None
        claim = await self._store.claimed() or await self._claim_pending(token, upto)
        if claim is None:
            return 0
        if not claim.is_written and not await self._write(token, claim):
            return None
        await self._store.let_go(claim.ranges)
        await self._store.set_claim(token, None)
        return sum(each.n for each in claim.ranges)

    async def _claim_pending(self, token: int, upto: Mapping[int, str] | None) -> Claim | None:
        ranges = tuple(await self._store.pending(upto))
        if not ranges:
            return None
        claim = Claim(name_of(ranges), ranges)
        return claim if await self._store.set_claim(token, claim) else None

    async def _write(self, token: int, claim: Claim) -> bool:
        """Write a claim's files; False when another drainer has taken over."""
        entries = await self._store.read(claim.ranges)
        found = tuple(msgspec.structs.replace(r, n=len(e)) for r, e in zip(claim.ranges, entries, strict=True))
        if found != claim.ranges:
            # Overtaken, and the other has let go of some; or, when the token still holds, the store lost entries.
            claim = Claim(name_of(found), found)
            if not await self._store.set_claim(token, claim):
                return False
            log.error("claim_incomplete", n_found=sum(each.n for each in found))
        everything = [entry for some in entries for entry in some]
        if erasures := await asyncio.to_thread(self._write_files, claim.name, everything):
            await self._store.left_out(erasures, wall_clock())
        return await self._store.set_claim(token, msgspec.structs.replace(claim, is_written=True))

    def _write_files(self, name: str, entries: list[Entry]) -> list[Erasure]:
        """Write what a claim holds, erasures first, so that those who were erased leave no line behind them."""
        read = self._read(entries)
        self._erased.refresh()
        if read.erasures:
            self._erased.write(name, read.erasures)
        lines = [
            self._redacted(line) for line in read.lines if line.occurred_at > self._erased.erased_at(line.customer_id)
        ]
        decisions = [each for each in read.decisions if each.decided_at > self._erased.erased_at(each.customer_id)]
        write_events(self._data, name, lines)
        write_decisions(self._data, name, decisions)
        DRAINED.labels("line").inc(len(lines))
        DRAINED.labels("decision").inc(len(decisions))
        DRAINED.labels("erasure").inc(len(read.erasures))
        return read.erasures

    def _redacted(self, line: Line) -> Line:
        """A line that names no other identity which was erased since."""
        other = other_identity(line.properties) if self._erased else None
        if other is None or line.occurred_at > self._erased.erased_at(other):
            return line
        return msgspec.structs.replace(line, properties=without_other(line.properties))

    def _read(self, entries: list[Entry]) -> Read:
        read = Read([], [], [])
        for entry in entries:
            try:
                if entry.kind == "e":
                    read.lines.extend(_decode_lines(entry.body))
                elif entry.kind == "x":
                    read.erasures.append(decode_erasure(entry.body))
                else:
                    read.decisions.append(decode_decision(entry.body))
            except msgspec.MsgspecError as error:
                keep_unreadable(self._data, entry.id, entry.body, str(error))
                DRAINED.labels("unreadable").inc()
        return read


class CatalogKeeper:
    """Merges items that were put over the API into ``catalog.parquet``, so that the next training sees them."""

    def __init__(self, items: ItemStore, data: Path) -> None:
        self._items, self._data = items, data
        self._place = ""

    async def round(self) -> int:
        """Merge everything when something is new; how many items. Again does no harm."""
        if await self._items.newest() in {self._place, START}:
            return 0
        items, place = await self._items.everything()
        await asyncio.to_thread(merge_catalog, self._data, items)
        self._place = place
        return len(items)


def name_of(ranges: tuple[Range, ...]) -> str:
    """File name of some ranges: first and last entry, and a digest of them all. Equal ranges, equal name."""
    first, last = min(each.first for each in ranges), max(each.last for each in ranges)
    digest = blake2b(msgspec.json.encode(ranges), digest_size=8).hexdigest()
    return f"{first}_{last}_{digest}"


async def drain_for_ever(settings: Settings, stop: asyncio.Event) -> None:
    """Drain at the set pace, at once again while much waits, and once more at the end."""
    client = redis_client(settings.redis_url or "", BACKGROUND)
    owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    data = settings.home / "data"
    store = DrainStore(client, owner)
    drainer, catalog = Drainer(store, data), CatalogKeeper(ItemStore(client, client), data)
    epoch, trouble = Epoch(client, settings.home), Trouble("drain")
    try:
        while not stop.is_set():
            if (await _tried(drainer, catalog, epoch, trouble) or 0) < AT_ONCE:
                await wait(stop, settings.drain_every_s)
        async with asyncio.timeout(LAST_ROUND_S):
            while (moved := await _tried(drainer, catalog, epoch, trouble)) != 0:  # noqa: ASYNC110 - a lease elsewhere ends by time
                await asyncio.sleep(0 if moved else WAIT_FOR_LEASE_S)
        with suppress(StoreError):
            await store.release()
    except TimeoutError:
        log.warning("drain_unfinished")  # the rest stays in the store for the next start
    finally:
        await client.aclose()


async def _tried(drainer: Drainer, catalog: CatalogKeeper, epoch: Epoch, trouble: Trouble) -> int | None:
    try:
        await epoch.beat()
        await catalog.round()
        moved = await drainer.round()
    except (StoreError, OSError) as error:
        trouble.failed(error)
        return 0
    trouble.succeeded()
    return moved


async def drain_and_clean(settings: Settings, stop: asyncio.Event) -> None:
    """The drainer's process: what goes to the log, and what leaves it again."""
    cleaning = asyncio.create_task(clean_for_ever(settings, stop))
    try:
        await drain_for_ever(settings, stop)
    finally:
        await end(cleaning)


def main() -> None:
    """Run one drainer."""
    run_process("drainer", drain_and_clean)


if __name__ == "__main__":
    main()
