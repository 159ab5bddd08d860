"""The exposure memory as bytes: a head with a checksum, then slates (22 bytes), their items (11) and counts (16)."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from recommender.exposure import NOTHING_SHOWN, Exposure
from recommender.kernels_exposure import ITEM_BYTES, SLATE_BYTES, packed_shows, unpacked_shows

if TYPE_CHECKING:
    from recommender.exposure import LongMatrix

VERSION: Final = 1
_HEAD: Final = struct.Struct("<BIHHH")
_COUNT: Final = np.dtype([("item", "<i8"), ("hour", "<u4"), ("origin", "<u2"), ("place", "u1"), ("count", "u1")])


class UnreadableExposure(Exception):
    """Bytes that are no exposure memory of this version."""


def pack_exposure(memory: Exposure) -> bytes:
    """A memory as it is stored; b"" for the empty one."""
    if memory.is_empty:
        return b""
    slates, items = packed_shows(np.ascontiguousarray(memory.shows))
    counts = _packed_counts(memory.folded) if len(memory.folded) else b""
    body = slates.tobytes() + items.tobytes() + counts
    n_slates, n_items = len(slates) // SLATE_BYTES, len(items) // ITEM_BYTES
    return _HEAD.pack(VERSION, zlib.crc32(body), n_slates, n_items, len(memory.folded)) + body


def _packed_counts(folded: LongMatrix) -> bytes:
    counts = np.empty(len(folded), _COUNT)
    for column, name in enumerate(_COUNT.names or ()):
        counts[name] = folded[:, column]
    return counts.tobytes()


def unpack_exposure(raw: bytes | None) -> Exposure:
    """Inverse of :func:`pack_exposure`.

    Raises
    ------
    UnreadableExposure
        Another version, another length or another checksum than written.
    """
    if not raw:
        return NOTHING_SHOWN
    if len(raw) < _HEAD.size:
        raise UnreadableExposure
    version, checksum, n_slates, n_items, n_counts = _HEAD.unpack_from(raw)
    at_items = _HEAD.size + n_slates * SLATE_BYTES
    at_counts = at_items + n_items * ITEM_BYTES
    if version != VERSION or len(raw) != at_counts + n_counts * _COUNT.itemsize:
        raise UnreadableExposure
    if zlib.crc32(memoryview(raw)[_HEAD.size :]) != checksum:
        raise UnreadableExposure
    numbers = np.frombuffer(raw, np.uint8)
    shows = unpacked_shows(numbers[_HEAD.size : at_items], numbers[at_items:at_counts])
    if len(shows) != n_items:
        raise UnreadableExposure
    if not n_counts:
        return Exposure(shows)
    counts = np.frombuffer(raw, _COUNT, n_counts, at_counts)
    folded = np.stack([counts[name].astype(np.int64) for name in _COUNT.names or ()], axis=1)
    return Exposure(shows, folded)
