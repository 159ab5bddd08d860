"""The exposure memory as bytes: a head with a checksum, then slates (22 bytes), their items (11) and counts (16)."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from recommender.exposure import CHANNEL, HI, ITEM, KIND, LO, NOTHING_SHOWN, REACTION, SEEN, TTL_S, Exposure

if TYPE_CHECKING:
    from recommender.exposure import LongMatrix

VERSION: Final = 1
_HEAD: Final = struct.Struct("<BIHHH")
_SLATE: Final = np.dtype([("hi", "<i8"), ("lo", "<i8"), ("ttl_s", "<u4"), ("channel", "u1"), ("n", "u1")])
_ITEM: Final = np.dtype([("item", "<i8"), ("seen", "<u2"), ("deed", "u1")])
_COUNT: Final = np.dtype([("item", "<i8"), ("hour", "<u4"), ("origin", "<u2"), ("place", "u1"), ("count", "u1")])
_KINDS: Final = 4


class UnreadableExposure(Exception):
    """Bytes that are no exposure memory of this version."""


def pack_exposure(memory: Exposure) -> bytes:
    """A memory as it is stored; b"" for the empty one."""
    if memory.is_empty:
        return b""
    slates, items = _packed_shows(memory.shows)
    counts = np.empty(len(memory.folded), _COUNT)
    for column, name in enumerate(_COUNT.names or ()):
        counts[name] = memory.folded[:, column]
    body = slates.tobytes() + items.tobytes() + counts.tobytes()
    return _HEAD.pack(VERSION, zlib.crc32(body), len(slates), len(items), len(counts)) + body


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
    at_items = _HEAD.size + n_slates * _SLATE.itemsize
    at_counts = at_items + n_items * _ITEM.itemsize
    if version != VERSION or len(raw) != at_counts + n_counts * _COUNT.itemsize:
        raise UnreadableExposure
    if zlib.crc32(memoryview(raw)[_HEAD.size :]) != checksum:
        raise UnreadableExposure
    slates = np.frombuffer(raw, _SLATE, n_slates, _HEAD.size)
    items = np.frombuffer(raw, _ITEM, n_items, at_items)
    counts = np.frombuffer(raw, _COUNT, n_counts, at_counts)
    folded = np.stack([counts[name].astype(np.int64) for name in _COUNT.names or ()], axis=1)
    return Exposure(_unpacked_shows(slates, items), folded)


def _packed_shows(shows: LongMatrix) -> tuple[np.ndarray, np.ndarray]:
    is_first = np.ones(len(shows), np.bool_)
    is_first[1:] = (shows[1:, :2] != shows[:-1, :2]).any(axis=1)
    starts = np.flatnonzero(is_first)
    slates, items = np.empty(len(starts), _SLATE), np.empty(len(shows), _ITEM)
    slates["hi"], slates["lo"] = shows[starts, HI], shows[starts, LO]
    slates["n"] = np.diff(np.append(starts, len(shows)))
    slates["ttl_s"], slates["channel"] = shows[starts, TTL_S], shows[starts, CHANNEL]
    items["item"], items["seen"] = shows[:, ITEM], shows[:, SEEN]
    items["deed"] = shows[:, REACTION] * _KINDS + shows[:, KIND]
    return slates, items


def _unpacked_shows(slates: np.ndarray, items: np.ndarray) -> LongMatrix:
    if int(slates["n"].sum()) != len(items):
        raise UnreadableExposure
    shows = np.empty((len(items), 8), np.int64)
    for column, name in ((HI, "hi"), (LO, "lo"), (TTL_S, "ttl_s"), (CHANNEL, "channel")):
        shows[:, column] = np.repeat(slates[name], slates["n"])
    shows[:, ITEM], shows[:, SEEN] = items["item"], items["seen"]
    shows[:, KIND], shows[:, REACTION] = items["deed"] % _KINDS, items["deed"] // _KINDS
    return shows
