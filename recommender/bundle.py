"""The one reader and writer of bundles: what training publishes and the service loads.

A bundle is an immutable directory named by its digest::

    <root>/<digest>/
        manifest.json        what every file must be (bundle_manifest.py)
        manifest.sig         Ed25519 signature of manifest.json, when a key is configured
        <array>.npy          plain NumPy files, mapped and shared by all workers
        <document>.json      small tables, golden requests

It is written beside its place and renamed into it, so that whoever finds the directory finds all of it.
Nothing in it is ever executed or unpickled; everything is checked before it is used (bundle_folder.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from features.errors import BundleError, BundleIncompatible
from recommender.bundle_files import sync, write_array, write_document, write_file
from recommender.bundle_folder import Folder
from recommender.bundle_manifest import (
    DTYPES,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    SIGNATURE,
    BundleMeta,
    Manifest,
    is_name,
    render,
)
from recommender.bundle_signature import public_key, sign

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from recommender.contract import ArraySpec

    Arrays = Mapping[str, NDArray[np.generic]]
    Documents = Mapping[str, object]

__all__ = [
    "Bundle",
    "BundleContent",
    "BundleMeta",
    "Manifest",
    "clear_leftovers",
    "keep_bundle",
    "open_bundle",
    "read_manifest",
    "write_bundle",
]

MAX_BUNDLE_BYTES: Final = 16 << 30
LEFTOVER: Final = ".partial-"


@dataclass(frozen=True)
class BundleContent:
    """What is to be written.

    Attributes
    ----------
    arrays
        Boolean, integer or float arrays of any shape; floats finite. Trees of a ranker belong here too.
    documents
        Whatever JSON can hold; numbers finite.
    meta : BundleMeta
    """

    arrays: Arrays
    meta: BundleMeta
    documents: Documents = field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """A bundle that passed every check; ``arrays`` are read-only."""

    path: Path
    manifest: Manifest
    arrays: Arrays
    documents: Documents


def write_bundle(root: Path, content: BundleContent, *, signing_key: bytes | None = None) -> Path:
    """Write a bundle and return its directory, ``root/<digest>``; the same content again writes nothing new.

    Parameters
    ----------
    signing_key
        Raw 32-byte Ed25519 private key.

    Raises
    ------
    BundleError
        Content that no reader would accept: a name, a dtype, a number that is not finite.
    """
    root.mkdir(parents=True, exist_ok=True)
    clear_leftovers(root)
    _check_content(content)
    partial = Path(tempfile.mkdtemp(prefix=LEFTOVER, dir=root))
    try:
        arrays = {name: write_array(partial, name, array) for name, array in sorted(content.arrays.items())}
        documents = {name: write_document(partial, name, item) for name, item in sorted(content.documents.items())}
        raw = render(content.meta, arrays, documents, public_key(signing_key).hex() if signing_key else "")
        if len(raw) > MAX_MANIFEST_BYTES:
            raise BundleError(f"{MANIFEST}: expected at most {MAX_MANIFEST_BYTES} bytes, got {len(raw)}.")
        write_file(partial / MANIFEST, raw)
        if signing_key is not None:
            write_file(partial / SIGNATURE, sign(raw, signing_key))
        return keep_bundle(partial, root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def keep_bundle(downloaded: Path, root: Path) -> Path:
    """Move a whole bundle to ``root/<digest>``, on the same file system; return that directory.

    Every byte is hashed first, so that a download that stopped half-way never takes the place of its
    digest. Where a whole bundle is there already, ``downloaded`` stays for the caller to remove; a damaged
    one makes room. Programs that have mapped it keep what they have.

    Raises
    ------
    BundleCorrupt
        ``downloaded`` is damaged.
    """
    target = root / _check_whole(downloaded).digest
    if target.exists():
        try:
            _check_whole(target)
        except BundleError:
            with suppress(FileNotFoundError):  # another process made room
                target.rename(tempfile.mkdtemp(prefix=LEFTOVER, dir=root))
        else:
            return target
    try:
        downloaded.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        _check_whole(target)  # another process brought the same bundle in between
        return target
    target.chmod(0o755)
    sync(root)
    return target


def clear_leftovers(root: Path, *, older_than_s: float = 3600) -> int:
    """Remove what killed writers left in ``root`` more than so many seconds ago; return how many."""
    before = time.time() - older_than_s
    stale = [path for path in root.glob(f"{LEFTOVER}*") if _was_changed_before(path, before)]
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    return len(stale)


def _was_changed_before(path: Path, moment: float) -> bool:
    """Whether a leftover is older than a moment; one that its writer has just moved or removed is not."""
    try:
        return path.lstat().st_mtime < moment
    except FileNotFoundError:
        return False


def read_manifest(path: Path, *, verify_key: bytes | None = None) -> Manifest:
    """Manifest of the bundle at ``path``, sound in itself; no other file is looked at.

    Raises
    ------
    BundleCorrupt, BundleIncompatible
        As :func:`open_bundle`.
    """
    with Folder(path) as folder:
        return folder.manifest(verify_key)


def open_bundle(  # noqa: PLR0913 - each argument is a promise that a caller may hold the bundle to
    path: Path,
    *,
    known: Mapping[str, ArraySpec],
    documents: Collection[str] = (),
    optional: Collection[str] = (),
    schema_hash: str | None = None,
    verify_key: bytes | None = None,
    digest: str | None = None,
    max_bytes: int = MAX_BUNDLE_BYTES,
    mmap: bool = True,
) -> Bundle:
    """Check a bundle and map it.

    Reads every byte once (about 1 s per GB, without holding the interpreter's lock for long), so a
    server calls it in a thread.

    Parameters
    ----------
    known
        Every array that may be there, and its form.
    documents
        Every document that may be there.
    optional
        Those of both that may be absent; the others must be there.
    schema_hash
        Hash of the state's declaration that the reader computes features with.
    verify_key
        Raw 32-byte Ed25519 public key. When given, an unsigned bundle is refused.
    digest
        The digest that the registry promised: refuses another bundle, a genuine older one say.
    max_bytes
        Most that all files may hold together.
    mmap
        False reads the arrays into memory instead.

    Raises
    ------
    BundleCorrupt
        Bytes that are not what the manifest says; a file too many or too few; a signature that is
        missing or another's; a float that is not finite.
    BundleIncompatible
        A sound bundle of another format, with other arrays or documents, or of another feature schema.
    """
    with Folder(path) as folder:
        manifest = folder.manifest(verify_key)
        if digest is not None and manifest.digest != digest:
            raise BundleIncompatible(f"{path}/{MANIFEST}: expected digest {digest}, got {manifest.digest}.")
        _check_vocabulary(manifest, known, {*documents}, {*optional}, path)
        folder.check_names(manifest, max_bytes)
        arrays = {name: folder.array(entry, mapped=mmap) for name, entry in manifest.arrays.items()}
        loaded = {name: folder.document(entry) for name, entry in manifest.documents.items()}
    if schema_hash is not None and manifest.feature_schema != schema_hash:
        found = manifest.feature_schema[:80]
        raise BundleIncompatible(f"{path}/{MANIFEST}: expected feature schema {schema_hash}, got {found!r}.")
    return Bundle(path, manifest, MappingProxyType(arrays), MappingProxyType(loaded))


def _check_vocabulary(
    manifest: Manifest, known: Mapping[str, ArraySpec], documents: set[str], optional: set[str], path: Path
) -> None:
    """Every name is one that the reader knows, no name it needs is absent, and arrays have the form it reads."""
    where = f"{path}/{MANIFEST}"
    for wanted, held, noun in ((set(known), manifest.arrays, "array"), (documents, manifest.documents, "document")):
        for name in sorted(set(held) - wanted):
            raise BundleIncompatible(f"{where}: expected no {noun} {name!r}, which this version does not know.")
        for name in sorted(wanted - set(held) - optional):
            raise BundleIncompatible(f"{where}: expected {noun} {name!r}, which is not there.")
    for name, entry in manifest.arrays.items():
        if (entry.dtype, len(entry.shape)) != tuple(known[name]):
            wanted_dtype, ndim = known[name]
            got = f"{entry.dtype} of {len(entry.shape)}"
            raise BundleIncompatible(f"{where}: expected {wanted_dtype} of {ndim} dimensions as {name!r}, got {got}.")


def _check_whole(path: Path) -> Manifest:
    """The manifest of a directory in which every file is there, is what it must be, and is on the disk."""
    with Folder(path) as folder:
        manifest = folder.manifest(None)
        folder.check_names(manifest, MAX_BUNDLE_BYTES)
        for entry in manifest.files.values():
            with folder.open(entry.file) as file:
                folder.check_bytes(file, entry)
                os.fsync(file.fileno())
    sync(path)
    return manifest


def _check_content(content: BundleContent) -> None:
    names = [*content.arrays, *content.documents]
    for name in names:
        if not is_name(name) or names.count(name) > 1:
            raise BundleError(f"{name!r}: expected a unique name of lower-case words and dots, like 'als.gram'.")
    for name, array in content.arrays.items():
        if array.dtype.name not in DTYPES:
            raise BundleError(f"{name}: expected booleans, integers or floats, got {array.dtype}.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BundleError(f"{name}: expected finite numbers only.")
