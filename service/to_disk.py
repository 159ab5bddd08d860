"""The embedded store's file goes to the disk once a second: what a power failure can cost is what came since.

The server would do that itself (``appendfsync everysec``). But while the disk takes its time, it keeps new commands in
memory for up to two seconds and answers as though they were in the file; killed meanwhile, it has lost what it
acknowledged. Told to leave this to others, it writes each command to the file before it answers, and what is in a file
outlives whoever wrote it.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Lengths = Mapping[Path, int]

EVERY_S: Final = 1.0
log = structlog.get_logger()


async def keep_on_disk(directory: Path, every_s: float = EVERY_S) -> None:
    """Sync what the server of a directory appends, again and again until cancelled, and whatever is left then."""
    synced: Lengths = {}
    try:
        while True:
            await asyncio.sleep(every_s)
            synced = await asyncio.to_thread(sync_appended, directory, synced)
    finally:
        sync_appended(directory, synced)


def sync_appended(directory: Path, synced: Lengths) -> Lengths:
    """Sync the append-only files that have grown since they had the lengths ``synced``; how long each is now.

    One that cannot be synced is told and tried again the next time.
    """
    lengths: dict[Path, int] = {}
    for path in (directory / "appendonlydir").glob("*.incr.aof"):
        with suppress(FileNotFoundError):  # a rewrite has replaced it, and syncs what it makes of it
            try:
                lengths[path] = _synced(path, synced.get(path, 0))
            except OSError as error:
                log.error("append_only_file_not_synced", error=type(error).__name__)  # noqa: TRY400 - no traceback in a log
    return lengths


def _synced(path: Path, length: int) -> int:
    """Length of a file, once all of that is on the disk."""
    now = path.stat().st_size
    if now != length:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    return now
