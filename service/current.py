"""The ``CURRENT`` pointer: which bundle is served. Written by the follower alone, watched by every worker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, TypeVar

import msgspec

POINTER: Final = "CURRENT"
BUNDLES: Final = "bundles"
REPORT: Final = "follower.json"
EARLIER: Final = "EARLIER"
KEEP_EARLIER: Final = 4

Document = TypeVar("Document")


class Current(msgspec.Struct, frozen=True):
    """What is served: the bundle's digest (its directory's name), and what the registry calls it."""

    digest: str
    model: str
    version: str
    alias: str


class FollowerReport(msgspec.Struct, frozen=True):
    """How following goes: whether the registry answers, and which version was refused, if the alias is on one."""

    registry_answers: bool
    refused: str | None = None


def bundle_path(home: Path, current: Current) -> Path:
    """Directory of the bundle that is pointed to."""
    return home / BUNDLES / current.digest


def read_current(home: Path) -> Current | None:
    """The pointer; None when there is none, or none that can be read."""
    return _read(home / POINTER, Current)


def write_current(home: Path, current: Current) -> None:
    """Replace the pointer, so that a reader finds the old one or the new one, and after a crash too."""
    before = read_current(home)
    if before is not None and before != current:
        earlier = [before, *(each for each in read_earlier(home) if each not in {before, current})]
        write_atomically(home / EARLIER, msgspec.json.encode(earlier[:KEEP_EARLIER]))
    write_atomically(home / POINTER, msgspec.json.encode(current))


def read_earlier(home: Path) -> list[Current]:
    """What was served before, the newest first: where a worker turns to when the newest is damaged."""
    return _read(home / EARLIER, list[Current]) or []


def read_report(home: Path) -> FollowerReport | None:
    """The follower's last report."""
    return _read(home / REPORT, FollowerReport)


def write_report(home: Path, report: FollowerReport) -> None:
    """Replace the follower's report."""
    write_atomically(home / REPORT, msgspec.json.encode(report))


def signature(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever a file is replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def write_atomically(path: Path, raw: bytes) -> None:
    """Write beside, flush to disk, rename; what cannot be written whole leaves nothing behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Flush a directory's names to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, kind: type[Document]) -> Document | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
