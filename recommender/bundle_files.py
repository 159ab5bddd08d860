"""The files of a bundle as they are written: once, never over another, and down to the disk."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from features.errors import BundleError
from recommender.bundle_manifest import MAX_DOCUMENT_BYTES, ArrayEntry, DocumentEntry, npy_header

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def write_array(folder: Path, name: str, array: NDArray[np.generic]) -> ArrayEntry:
    """A little-endian, row-major ``.npy`` file; see :func:`npy_header`."""
    dtype = array.dtype.name
    data = np.asarray(array, array.dtype.newbyteorder("<"), order="C").reshape(-1).view(np.uint8)
    entry = write_file(folder / f"{name}.npy", npy_header(dtype, array.shape), data.data)
    return ArrayEntry(**msgspec.structs.asdict(entry), dtype=dtype, shape=array.shape)  # type: ignore[arg-type]


def write_document(folder: Path, name: str, document: object) -> DocumentEntry:
    """JSON, strictly: a number that is not finite is an error and never a silent null."""
    try:
        plain = msgspec.to_builtins(document, str_keys=True)
        raw = json.dumps(plain, allow_nan=False, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise BundleError(f"{name}: expected what JSON can hold ({error}).") from None
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise BundleError(f"{name}: expected a document of at most {MAX_DOCUMENT_BYTES} bytes, got {len(raw)}.")
    return write_file(folder / f"{name}.json", raw)


def write_file(path: Path, *parts: bytes | memoryview) -> DocumentEntry:
    """Write a file that nobody may write again, down to the disk."""
    digest = hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444), "wb") as file:
        for part in parts:
            file.write(part)
            digest.update(part)
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    return DocumentEntry(file=path.name, bytes=size, sha256=digest.hexdigest())


def sync(path: Path) -> None:
    """Make a directory's entries last through a loss of power."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
