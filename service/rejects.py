"""``rejects.ndjson``: what could not be read, kept aside; and forgotten again when its customer is erased."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from service.current import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from service.erased_files import ErasedFiles

NAME: Final = "rejects.ndjson"
MICROS_A_MS: Final = 1_000


def keep_unreadable(data: Path, place: str, body: bytes, why: str) -> None:
    """Note a stream entry that no version of ours wrote, so that nothing vanishes."""
    reject = {"row": place, "field": "", "value": body.hex(), "reason": why, "file": "stream"}
    data.mkdir(parents=True, exist_ok=True)
    with _locked(data), (data / NAME).open("ab") as file:
        file.write(msgspec.json.encode(reject) + b"\n")


def forget_rejects(data: Path, erased: ErasedFiles) -> int:
    """Drop rejects that name an erased customer; how many. The file is replaced as a whole."""
    path = data / NAME
    if not path.exists():
        return 0
    with _locked(data):
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not _is_of_erased(line, erased)]
        if len(kept) < len(lines):
            write_atomically(path, b"".join(kept))
    return len(lines) - len(kept)


def _is_of_erased(line: bytes, erased: ErasedFiles) -> bool:
    try:
        reject: dict[str, Any] = msgspec.json.decode(line)
        if reject.get("file") != "stream":
            return any(erased.erased_at(text) for text in _texts(reject))
        body = bytes.fromhex(reject["value"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
        return False
    try:
        return any(erased.erased_at(text) for text in _texts(msgspec.msgpack.decode(body)))
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Whose it is cannot be told: it goes when anybody was erased since.
        return int(str(reject["row"]).partition("-")[0]) * MICROS_A_MS <= erased.newest


def _texts(value: object) -> Iterator[str]:
    """Every text within a decoded value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Hold the file against others who add to it or rewrite it."""
    with (data / f".{NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
