"""How a customer's record is written: the state with its schema and checksum, the dedupe ids, the standing.

A state that was written for another schema, or whose bytes changed, is never read as numbers of this one.
"""

from __future__ import annotations

import functools
import struct
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from features.consent import PURPOSES, Consents
from features.identity import Edge, Edges
from features.journey import Standing
from service.metrics import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.state import Schema

_HEAD: Final = struct.Struct(">8sI")
_ONE_SEEN: Final = struct.Struct(">QII")
_EVENT_BYTES: Final = 8
SEEN_S: Final = 86_400
MAX_SEEN: Final = 4_096
MICROS: Final = 1_000_000
ANY_BODY: Final = 0
"""Body digest of an event of which only the id is known any more, after a rebuild."""

WITHDRAWN: Final = Consents(*(((0, "", False),) for _ in PURPOSES))

_encode = msgspec.msgpack.Encoder().encode
_decode_standing = msgspec.msgpack.Decoder(Standing).decode
_decode_consents = msgspec.msgpack.Decoder(Consents).decode
_decode_edges = msgspec.msgpack.Decoder(Edges).decode


class UnreadableState(Exception):
    """Stored bytes that are no state of this schema; ``why`` is one of schema, checksum, decode, foreign."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class StateCodec:
    """States of one schema as bytes: schema hash (8), CRC-32 (4), MessagePack."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.empty = schema.empty()
        self._hash = bytes.fromhex(schema.hash)

    def pack(self, state: Any) -> bytes:
        """State as it is stored."""
        body = self.schema.encode(state)
        return _HEAD.pack(self._hash, zlib.crc32(body)) + body

    def unpack(self, raw: bytes) -> Any:
        """Inverse of :meth:`pack`.

        Raises
        ------
        UnreadableState
        """
        if len(raw) < _HEAD.size:
            raise UnreadableState("decode")
        found, checksum = _HEAD.unpack_from(raw)
        body = raw[_HEAD.size :]
        if found != self._hash:
            raise UnreadableState("schema")
        if zlib.crc32(body) != checksum:
            raise UnreadableState("checksum")
        try:
            return self.schema.decode(body)
        except msgspec.DecodeError:
            raise UnreadableState("decode") from None

    def merged(self, states: Sequence[Any]) -> Any:
        """Merge of some states; :attr:`empty` itself where all of them are."""
        said = [state for state in states if state is not self.empty]
        return functools.reduce(self.schema.merge, said) if said else self.empty


class SeenEvents:
    """Ids of the events that counted in the last 24 hours, with a digest of each body.

    16 bytes an event: id digest (8), body digest (4), seconds (4). Those that were read stay as they are, less those at
    the front that are too old; one that is too old behind a later one is not known either, and goes when it is first.
    """

    def __init__(self, raw: bytes, now: int) -> None:
        self._since = now // MICROS - SEEN_S
        self._known = _recent(raw, self._since)
        self._added: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._known) // _ONE_SEEN.size + len(self._added)

    def body_of(self, event: int) -> int | None:
        """Body digest under which an event counted; None for a new one."""
        if event in self._added:
            return self._added[event][0]
        digest = event.to_bytes(_EVENT_BYTES)
        place = self._known.rfind(digest)
        while place >= 0 and place % _ONE_SEEN.size:  # bytes of a record and of the next one look like it
            place = self._known.rfind(digest, 0, place + _EVENT_BYTES - 1)
        if place < 0:
            return None
        _, body, at = _ONE_SEEN.unpack_from(self._known, place)
        return body if at > self._since else None

    def add(self, event: int, body: int, now: int) -> None:
        """Remember an event that is new, from ``now`` (microseconds) on."""
        self._added[event] = (body, now // MICROS)

    def pack(self) -> bytes:
        """As it is stored."""
        added = (_ONE_SEEN.pack(event, body, at) for event, (body, at) in self._added.items())
        return b"".join([self._known, *added])


def _recent(raw: bytes, since: int) -> bytes:
    """Whole records from the first on that is after a second."""
    size = _ONE_SEEN.size
    start, end = 0, len(raw) - len(raw) % size
    while start < end and _ONE_SEEN.unpack_from(raw, start)[2] <= since:
        start += size
    return raw[start:end]


def event_digest(event_id: str) -> int:
    """64-bit digest of an event id."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "big")


def body_digest(event: dict[str, Any]) -> int:
    """32-bit digest of an event as it was sent, whatever the order of its fields."""
    return int.from_bytes(blake2b(msgspec.json.encode(event, order="sorted"), digest_size=4).digest(), "big")


def pack_standing(standing: Standing) -> bytes:
    """Standing as it is stored."""
    return _encode(standing)


def unpack_standing(raw: bytes | None) -> Standing | None:
    """Inverse of :func:`pack_standing`; None for nothing, and for what another version wrote."""
    if raw is None:
        return None
    try:
        return _decode_standing(raw)
    except msgspec.MsgspecError:
        return None


def pack_consents(consents: Consents) -> bytes:
    """Changes of consent as they are stored."""
    return _encode(consents)


def unpack_consents(raw: bytes) -> Consents:
    """Inverse of :func:`pack_consents`; of what cannot be read, that all was withdrawn: consent fails closed."""
    try:
        return _decode_consents(raw)
    except msgspec.MsgspecError:
        UNREADABLE.labels("consent").inc()
        return WITHDRAWN


def pack_edges(edges: Mapping[str, Edge]) -> bytes:
    """Edges as they are stored."""
    return _encode(edges)


def unpack_edges(raw: bytes) -> Edges:
    """Inverse of :func:`pack_edges`; none where they cannot be read."""
    try:
        return _decode_edges(raw)
    except msgspec.MsgspecError:
        UNREADABLE.labels("edges").inc()
        return {}
