"""A bundle's directory as untrusted input: every file is opened, measured and hashed before it is used.

A file is opened once, without following links, and what was checked through that descriptor is what is
mapped. Nothing is allocated on the word of a file: sizes come from the file system and must equal the
manifest's, shapes must account for every byte.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from io import FileIO
from math import prod
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np

from features.errors import BundleCorrupt
from recommender.bundle_manifest import (
    MANIFEST,
    MAX_DOCUMENT_BYTES,
    MAX_MANIFEST_BYTES,
    SIGNATURE,
    SIGNATURE_BYTES,
    UNREADABLE,
    ArrayEntry,
    DocumentEntry,
    Manifest,
    npy_header,
    parse,
)
from recommender.bundle_signature import is_signed

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

_CHUNK = 1 << 18
_OPEN = os.O_RDONLY | os.O_CLOEXEC


class Folder:
    """An open bundle directory. Every method raises :class:`BundleCorrupt` with one sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, _OPEN | os.O_DIRECTORY)
        except OSError as error:
            raise BundleCorrupt(f"{path}: expected the directory of a bundle ({error.strerror}).") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._fd)

    def corrupt(self, file: str, wanted: str) -> BundleCorrupt:
        """The error that says what was expected of a file."""
        return BundleCorrupt(f"{self.path}/{file}: expected {wanted}.")

    def manifest(self, verify_key: bytes | None) -> Manifest:
        """The manifest, after its size and, when a key is given, its signature were checked."""
        with self.open(MANIFEST) as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
        if len(raw) > MAX_MANIFEST_BYTES:
            raise self.corrupt(MANIFEST, f"at most {MAX_MANIFEST_BYTES} bytes")
        if verify_key is not None:
            with self.open(SIGNATURE) as file:
                signature = file.read(SIGNATURE_BYTES + 1)
            if len(signature) != SIGNATURE_BYTES or not is_signed(raw, signature, verify_key):
                raise self.corrupt(SIGNATURE, f"the signature of {MANIFEST} by the configured key")
        return parse(raw, str(self.path))

    def check_names(self, manifest: Manifest, max_bytes: int) -> None:
        """The directory holds the files of the manifest and nothing else, and they may be that large."""
        expected = {*manifest.files, MANIFEST, *([SIGNATURE] if manifest.signer else [])}
        found = set()
        with os.scandir(self._fd) as entries:
            for entry in entries:
                if entry.name not in expected:
                    raise BundleCorrupt(f"{self.path}: expected no file {entry.name[:130]!r} in a bundle.")
                if not entry.is_file(follow_symlinks=False):
                    raise self.corrupt(entry.name, "a regular file")
                found.add(entry.name)
        if missing := expected - found:
            raise self.corrupt(min(missing), "this file, found none")
        if (total := sum(entry.bytes for entry in manifest.files.values())) > max_bytes:
            raise self.corrupt(MANIFEST, f"files of at most {max_bytes} bytes together, got {total}")

    def open(self, file: str) -> FileIO:
        """A regular file of this directory; a link is not followed, a pipe does not block."""
        try:
            fd = os.open(file, _OPEN | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._fd)
        except FileNotFoundError:
            raise self.corrupt(file, "this file, found none") from None
        except OSError as error:
            raise self.corrupt(file, f"a regular file ({error.strerror})") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self.corrupt(file, "a regular file")
        return FileIO(fd)

    def check_bytes(self, file: FileIO, entry: DocumentEntry) -> None:
        """Size first, then SHA-256, streaming; leaves the file at its start."""
        size = os.fstat(file.fileno()).st_size
        if size != entry.bytes:
            raise self.corrupt(entry.file, f"{entry.bytes} bytes, got {size}")
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != entry.sha256:
            raise self.corrupt(entry.file, f"SHA-256 {entry.sha256}, got {found}")
        file.seek(0)

    def array(self, entry: ArrayEntry, *, mapped: bool) -> NDArray[np.generic]:
        """A checked array, read-only; mapped, or read into memory."""
        header, count = npy_header(entry.dtype, entry.shape), prod(entry.shape)
        dtype = np.dtype(entry.dtype).newbyteorder("<")
        if entry.bytes != len(header) + count * dtype.itemsize:
            raise self.corrupt(MANIFEST, f"the bytes of a {entry.dtype} array of shape {entry.shape} for {entry.file}")
        with self.open(entry.file) as file:
            self.check_bytes(file, entry)
            if file.read(len(header)) != header:
                raise self.corrupt(entry.file, f"the header of a {entry.dtype} array of shape {entry.shape}")
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if mapped else header + file.read()
        array = np.frombuffer(buffer, dtype, count, len(header)) if count else np.frombuffer(b"", dtype)
        self._check_finite(array, entry.file)
        return array.reshape(entry.shape)

    def document(self, entry: DocumentEntry) -> object:
        """A checked JSON document."""
        if entry.bytes > MAX_DOCUMENT_BYTES:
            raise self.corrupt(entry.file, f"at most {MAX_DOCUMENT_BYTES} bytes")
        with self.open(entry.file) as file:
            self.check_bytes(file, entry)
            raw = file.read()
        try:
            return msgspec.json.decode(raw)
        except UNREADABLE as error:
            raise self.corrupt(entry.file, f"a JSON document ({str(error)[:120]!r})") from None

    def _check_finite(self, array: NDArray[np.generic], file: str) -> None:
        if array.dtype.kind != "f":
            return
        for start in range(0, len(array), _CHUNK):
            if not np.isfinite(array[start : start + _CHUNK]).all():
                raise self.corrupt(file, "finite numbers only")
