"""Holes in the embedded store's append-only file, cut out before the server reads it again.

A server that could write only a part of its commands takes that part back. But a file that a rewrite has begun is not
opened for appending (as of Valkey 9.1), so the next commands are written where the lost part ended, with zeros before
them. The server does not load such a file, and what was accepted after the hole would be lost with the start.
"""

from __future__ import annotations

import mmap
import re
from typing import TYPE_CHECKING, Final

import structlog

from service.current import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()

HOLE: Final = re.compile(rb"(?:\A|\r\n)\x00+(?:\*\d+\r\n\$|\Z)")
"""Zeros at the beginning or after the end of a line, and before a command or the end; a value may look like it."""
_ZEROS: Final = re.compile(rb"\x00+")
_LENGTH: Final = re.compile(rb"[*$](\d{1,18})\r\n")


def cut_holes(directory: Path) -> int:
    """Cut the holes out of the append-only files of a server that does not run; how many bytes they were.

    A file that has none is left as it is, and so is one that cannot be written anew: the server will say so.
    """
    return sum(_cut(path) for path in sorted((directory / "appendonlydir").glob("*.incr.aof")))


def _cut(path: Path) -> int:
    if not path.stat().st_size:  # nothing can be mapped
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        holes = holes_of(content) if HOLE.search(content) else []
        if not holes:
            return 0
        edges = [0, *(edge for hole in holes for edge in (hole.start, hole.stop)), len(content)]
        mended = b"".join(content[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True))
        n_bytes = len(content) - len(mended)
    try:
        write_atomically(path, mended)
    except OSError as error:
        log.warning("append_only_file_not_mended", error=type(error).__name__)
        return 0
    log.warning("append_only_file_mended", n_found=n_bytes)
    return n_bytes


def holes_of(content: bytes | mmap.mmap) -> list[slice]:
    """Where zeros stand between commands, up to the first thing that is neither command nor hole.

    Commands are walked through by the lengths that they tell, so that zeros within a value are its own.
    """
    holes: list[slice] = []
    at = 0
    while at < len(content):
        if zeros := _ZEROS.match(content, at):
            holes.append(slice(*zeros.span()))
            at = zeros.end()
        elif (end := _end_of_command(content, at)) is not None:
            at = end
        else:
            break
    return holes


def _end_of_command(content: bytes | mmap.mmap, at: int) -> int | None:
    """Where the command that begins here ends; None where there is none, or not the whole of it."""
    head = _LENGTH.match(content, at)
    if head is None or content[at : at + 1] != b"*":
        return None
    at = head.end()
    for _ in range(int(head[1])):
        value = _LENGTH.match(content, at)
        if value is None or content[at : at + 1] != b"$":
            return None
        at = value.end() + int(value[1]) + len(b"\r\n")
        if content[at - 2 : at] != b"\r\n":
            return None
    return at
