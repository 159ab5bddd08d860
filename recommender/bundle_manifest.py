"""The manifest of a bundle: what every file must be, and the digests that bind them together.

``manifest.json`` is the only file that is parsed before anything is trusted, so it is small, strict and
checked first. Its ``digest`` is the SHA-256 of its own bytes with the 64 digits of the digest blanked to
zeros; through the files' hashes it covers every byte of the bundle, the time of making included.
``content_digest`` covers the arrays alone (name, dtype, shape, bytes), so equal arrays made at different
times compare equal.

A reader of format N reads formats N and N-1, and no other: a service may be one version ahead of the
training job that feeds it, and an old service refuses a newer bundle when it is loaded, not at a request.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
import numpy as np

from features.errors import BundleCorrupt, BundleIncompatible

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
SIGNATURE_BYTES: Final = 64
MAX_MANIFEST_BYTES: Final = 1 << 20
MAX_DOCUMENT_BYTES: Final = 4 << 20
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON it was asked for."""

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_BLANK = "0" * 64

Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
Dtype = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"
]
DTYPES: Final = frozenset(Dtype.__args__)  # type: ignore[attr-defined]


class DocumentEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One JSON document: its file, size in bytes and SHA-256."""

    file: str
    bytes: Size
    sha256: Hex


class ArrayEntry(DocumentEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One array: its ``.npy`` file, NumPy dtype name and shape as well."""

    dtype: Dtype
    shape: Annotated[tuple[Size, ...], msgspec.Meta(max_length=8)]


class BundleMeta(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle says about itself. Times are microseconds since 1970 UTC.

    Attributes
    ----------
    name : str
        Name of the model in the registry, ``[a-z0-9-]{1,64}``.
    feature_schema : str
        Hash of the customer state's declaration that the model was trained with.
    journey_version, journey_digest : str
        The journey definition in force at training.
    until : int
        Cut-off: no event at or after this moment was seen.
    data_digest : str
        Digest of the events and the catalogue it was trained on.
    created_at : int
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}$")]
    feature_schema: str
    journey_version: str
    journey_digest: str
    until: int
    data_digest: str
    created_at: int


class Manifest(BundleMeta, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a reader knows before it opens another file.

    ``signer`` is the Ed25519 public key in hex whose signature lies beside the manifest, empty for none.
    """

    format: int
    digest: Hex
    content_digest: Hex
    signer: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
    arrays: dict[str, ArrayEntry]
    documents: dict[str, DocumentEntry]

    @property
    def files(self) -> dict[str, DocumentEntry]:
        """Every file but the manifest and its signature."""
        return {entry.file: entry for entry in (*self.arrays.values(), *self.documents.values())}


class _Format(msgspec.Struct):
    format: int


def readable_formats(current: int = FORMAT) -> range:
    """Formats that a reader of format ``current`` reads: its own and the one before."""
    return range(max(1, current - 1), current + 1)


def is_name(name: str) -> bool:
    """Whether an array or document may be called so; the name is also the stem of its file."""
    return len(name) <= 100 and _NAME.fullmatch(name) is not None and name != "manifest"


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """First bytes of a version 1.0 ``.npy`` file, row-major and little-endian; a multiple of 64.

    There is exactly one header for a dtype and a shape, whatever the NumPy version, so a reader compares
    it byte for byte and never evaluates what a file says about itself.
    """
    descr = np.dtype(dtype).newbyteorder("<").str
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape!r}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


def content_digest(arrays: Mapping[str, ArrayEntry]) -> str:
    """SHA-256 over name, dtype, shape and file hash of every array, by name."""
    rows = [[name, arrays[name].dtype, list(arrays[name].shape), arrays[name].sha256] for name in sorted(arrays)]
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()


def render(meta: BundleMeta, arrays: dict[str, ArrayEntry], documents: dict[str, DocumentEntry], signer: str) -> bytes:
    """Bytes of ``manifest.json``, with every digest filled in."""
    blank = Manifest(
        **msgspec.structs.asdict(meta),
        format=FORMAT,
        digest=_BLANK,
        content_digest=content_digest(arrays),
        signer=signer,
        arrays=arrays,
        documents=documents,
    )
    raw = json.dumps(msgspec.to_builtins(blank), sort_keys=True, indent=1).encode() + b"\n"
    line = f'"digest": "{_BLANK}"'.encode()
    return raw.replace(line, f'"digest": "{hashlib.sha256(raw).hexdigest()}"'.encode())


def parse(raw: bytes, where: str) -> Manifest:
    """Manifest of these bytes, sound in itself; ``where`` names the bundle in messages.

    Raises
    ------
    BundleIncompatible
        A format that this version does not read.
    BundleCorrupt
        Not a manifest, a name or a file that no bundle has, or a digest that is not that of the bytes.
    """
    _check_format(raw, where)
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except UNREADABLE as error:
        raise BundleCorrupt(f"{where}/{MANIFEST}: expected the manifest of a bundle ({str(error)[:120]!r}).") from None
    blanked = raw.replace(manifest.digest.encode(), _BLANK.encode())
    if hashlib.sha256(blanked).hexdigest() != manifest.digest:
        raise BundleCorrupt(f"{where}/{MANIFEST}: expected bytes whose digest is {manifest.digest}, got others.")
    if content_digest(manifest.arrays) != manifest.content_digest:
        raise BundleCorrupt(f"{where}/{MANIFEST}: expected a content digest that is that of its arrays.")
    _check_names(manifest, where)
    return manifest


def _check_format(raw: bytes, where: str) -> None:
    try:
        found = msgspec.json.decode(raw, type=_Format).format
    except UNREADABLE as error:
        raise BundleCorrupt(f"{where}/{MANIFEST}: expected JSON with a format ({str(error)[:120]!r}).") from None
    if found not in (formats := readable_formats()):
        wanted = " or ".join(map(str, formats))
        raise BundleIncompatible(f"{where}/{MANIFEST}: expected format {wanted}, got {found}.")


def _check_names(manifest: Manifest, where: str) -> None:
    """A file is its name and its ending, so that no path can be spelt in a manifest."""
    entries: dict[str, DocumentEntry] = {f"{name}.json": entry for name, entry in manifest.documents.items()}
    entries |= {f"{name}.npy": entry for name, entry in manifest.arrays.items()}
    for file, entry in entries.items():
        if entry.file != file or not is_name(file.rpartition(".")[0]):
            raise BundleCorrupt(f"{where}/{MANIFEST}: expected a plain name as file, got {entry.file[:130]!r}.")
