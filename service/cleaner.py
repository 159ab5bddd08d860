"""The clean-up: what the log must not hold any more, and what it holds in too many pieces.

One at a time a data directory, in the drainer's process or by ``rihla clean``. Every step may be
interrupted and done again: files are replaced whole, and a receipt says done only after its step.
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from features.errors import StoreError
from features.moments import to_datetime
from service.clock import wall_clock
from service.erased_files import ErasedFiles
from service.log_files import TIMES, all_paths, forget_erased
from service.merge_files import SCHEMAS, merge_small_files
from service.metrics import CLEANED
from service.process import wait
from service.rejects import forget_rejects
from service.store.append_only import FAILED, rewrite_append_only_file
from service.store.clients import BACKGROUND, redis_client
from service.store.erasures import Erasures
from service.store.stage_changes import StageChanges
from service.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from redis.asyncio import Redis

    from features.settings import Settings
    from service.store.erasures import Receipt

ABANDONED_US: Final = 3_600 * 1_000_000
"""A receipt that was opened and never answered for so long was never given to anybody."""
REST: Final = 1.0
"""Seconds of rest a second of rewriting, so that readers and the drainer have the disk too."""
log = structlog.get_logger()


class Cleaned(NamedTuple):
    """What a round did: rows of erased customers removed, files merged, days of decisions dropped."""

    rows: int
    merged: int
    days: int


class Cleaner:
    """The clean-up of one data directory."""

    def __init__(self, data: Path, erasures: Erasures, changes: StageChanges, client: Redis, keep_days: int) -> None:
        self._data, self._keep_days = data, keep_days
        self._erasures, self._changes, self._client = erasures, changes, client
        self._erased = ErasedFiles(data)

    async def round(self, rest: float = REST) -> Cleaned | None:
        """One round; None while somebody else cleans this directory.

        Raises
        ------
        StoreError
            The store went away; the next round goes on.
        OSError
            The disk does not take the files.
        """
        self._data.mkdir(parents=True, exist_ok=True)
        with _alone(self._data) as is_alone:
            if not is_alone:
                return None
            merged = sum([await asyncio.to_thread(merge_small_files, self._data, kind) for kind in SCHEMAS])
            days = await asyncio.to_thread(drop_decisions, self._data, wall_clock(), self._keep_days)
            return Cleaned(await self._forget(rest), merged, days)

    async def _forget(self, rest: float) -> int:
        """Bring every receipt as far as it can come."""
        pending = await self._erasures.pending()
        abandoned = [each for each in pending if _is_abandoned(each, wall_clock())]
        await self._erasures.settle(each.receipt_id for each in abandoned)
        due = [each for each in pending if each.left_out_at is not None and each.online_at is not None]
        n = await self.forget_everywhere(rest) if any(each.log_at is None for each in due) else 0
        await self._erasures.note(_ids(each for each in due if each.log_at is None), "log", wall_clock())
        if due:
            await self._rewrite_file(_ids(due))
        return n

    async def forget_everywhere(self, rest: float) -> int:
        """Rewrite what holds rows of erased customers, and remove their stage changes; how many rows went."""
        await asyncio.to_thread(self._erased.refresh)
        n = 0
        for kind in TIMES:
            for path in all_paths(self._data, kind):
                began = time.monotonic()
                n += await asyncio.to_thread(forget_erased, path, kind, self._erased)
                await asyncio.sleep(rest * (time.monotonic() - began))
        n += await asyncio.to_thread(forget_rejects, self._data, self._erased)
        await self._changes.forget(self._is_erased)
        CLEANED.labels("row").inc(n)
        return n

    async def _rewrite_file(self, receipt_ids: list[str]) -> None:
        flaw = await rewrite_append_only_file(self._client)
        if flaw is None:
            await self._erasures.note(receipt_ids, "file", wall_clock())
        else:
            log.warning("append_only_file_kept", why=flaw)
            await self._erasures.note(receipt_ids, "flaw", flaw)
        if flaw != FAILED:
            await self._erasures.settle(receipt_ids)

    def _is_erased(self, change: dict[str, Any]) -> bool:
        return bool(change["at"] <= self._erased.erased_at(change["customer_id"]))


def drop_decisions(data: Path, now: int, keep_days: int) -> int:
    """Remove the folders of decision records that are too old; how many. ``now`` in microseconds."""
    first = (to_datetime(now) - timedelta(days=keep_days)).date().isoformat()
    old = [path for path in (data / "decisions").glob("[0-9]*-[0-9]*-[0-9]*") if path.name < first]
    for path in old:
        shutil.rmtree(path)
    return len(old)


async def clean_for_ever(settings: Settings, stop: asyncio.Event) -> None:
    """Clean at the set pace."""
    client = redis_client(settings.redis_url or "", BACKGROUND)
    cleaner, trouble = cleaner_of(settings, client), Trouble("clean")
    try:
        while not stop.is_set():
            await wait(stop, settings.clean_every_s)
            try:
                await cleaner.round()
            except (StoreError, OSError) as error:
                trouble.failed(error)
            else:
                trouble.succeeded()
    finally:
        await client.aclose()


async def clean_once(settings: Settings, data: Path) -> Cleaned | None:
    """One round at full speed; None while somebody else cleans.

    Raises
    ------
    StoreError, OSError
    """
    client = redis_client(settings.redis_url or "", BACKGROUND)
    try:
        return await cleaner_of(settings, client, data).round(rest=0)
    finally:
        await client.aclose()


def cleaner_of(settings: Settings, client: Redis, data: Path | None = None) -> Cleaner:
    """The clean-up as the settings want it."""
    erasures = Erasures(client, settings.tombstone_days)
    directory = settings.home / "data" if data is None else data
    return Cleaner(directory, erasures, StageChanges(client), client, settings.keep_decisions_days)


def _is_abandoned(receipt: Receipt, now: int) -> bool:
    return receipt.online_at is None and receipt.erased_at < now - ABANDONED_US


def _ids(receipts: Iterator[Receipt] | list[Receipt]) -> list[str]:
    return [receipt.receipt_id for receipt in receipts]


@contextmanager
def _alone(data: Path) -> Iterator[bool]:
    """Whether nobody else cleans; held until the end of the block."""
    with (data / ".cleaning").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
