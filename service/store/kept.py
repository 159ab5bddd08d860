"""A keyed decision as it is kept for 7 days: small, and enough to give the same slate again.

Four bytes of the second in which it was decided, for the server-side function that drops what is too old, then
MessagePack. Twenty items take at most 400 bytes, each more 15; a hundred items take 1.6 KiB.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from features.journey import STAGES, Standing
from recommender.reasons import REASON_TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable

KEEP_S: Final = 7 * 86_400
DIGEST_BYTES: Final = 8
MAX_NAME: Final = 12
_HEAD: Final = struct.Struct(">I")
_SLOT: Final = np.dtype([("item_key", "<i8"), ("score", "<f4"), ("propensity", "<f2"), ("source", "u1")])
_AT_SOURCE: Final = _SLOT.itemsize - 1
_SOURCES: Final = tuple(REASON_TEXTS)
"""By number; new codes go to the end."""
_PHASES: Final = (None, "fulfilment", "delivered")


class KeptSlot(msgspec.Struct, frozen=True, array_like=True):
    """One slot as it was decided; ``source`` is the code of its greatest reason."""

    item_key: int
    score: float
    propensity: float
    source: str


class _Body(msgspec.Struct, frozen=True, array_like=True):
    slate_id: bytes
    asked: bytes
    decided_at: int
    ttl_s: int
    stage: int
    phase: int
    flags: int
    since: int | None
    strategy: str
    version: str
    slots: bytes


class Kept(msgspec.Struct, frozen=True):
    """A slate that was given under a key.

    Attributes
    ----------
    asked : bytes
        Digest of what was asked, see :func:`digest_of_ask`.
    decided_at : int
        Microseconds.
    packed : bytes
        The slots as they are stored: most repeats look at none of them.
    """

    slate_id: str
    asked: bytes
    decided_at: int
    ttl_s: int
    standing: Standing
    strategy: str
    version: str
    is_personalised: bool
    packed: bytes

    @property
    def slots(self) -> tuple[KeptSlot, ...]:
        """The slots in order, unpacked."""
        rows = np.frombuffer(self.packed, _SLOT).tolist()
        return tuple(KeptSlot(key, score, propensity, _SOURCES[source]) for key, score, propensity, source in rows)


def digest_of_ask(parts: object) -> bytes:
    """Digest of a request's parameters, 8 bytes: the same parameters, the same digest."""
    return blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=DIGEST_BYTES).digest()


def digest_of_key(decision_key: str) -> bytes:
    """Field of a decision key, 16 bytes."""
    return blake2b(decision_key.encode(), digest_size=16).digest()


def pack_kept(kept: Kept) -> bytes:
    """A keyed decision as it is stored."""
    standing = kept.standing
    flags = standing.at_risk + 2 * kept.is_personalised
    body = _Body(
        bytes.fromhex(kept.slate_id),
        kept.asked,
        kept.decided_at,
        kept.ttl_s,
        STAGES.index(standing.stage),
        _PHASES.index(standing.phase),
        flags,
        standing.since,
        kept.strategy[:MAX_NAME],
        kept.version[:MAX_NAME],
        kept.packed,
    )
    return _HEAD.pack(kept.decided_at // 1_000_000) + msgspec.msgpack.encode(body)


def unpack_kept(raw: bytes) -> Kept | None:
    """Inverse of :func:`pack_kept`; None for what another version wrote, or nobody."""
    try:
        body = msgspec.msgpack.decode(memoryview(raw)[_HEAD.size :], type=_Body)
        standing = Standing(STAGES[body.stage], _PHASES[body.phase], bool(body.flags & 1), body.since, None)
    except (msgspec.MsgspecError, LookupError, ValueError):
        return None
    if len(body.slots) % _SLOT.itemsize or max(body.slots[_AT_SOURCE :: _SLOT.itemsize], default=0) >= len(_SOURCES):
        return None
    return Kept(
        slate_id=body.slate_id.hex(),
        asked=body.asked,
        decided_at=body.decided_at,
        ttl_s=body.ttl_s,
        standing=standing,
        strategy=body.strategy,
        version=body.version,
        is_personalised=bool(body.flags & 2),
        packed=body.slots,
    )


def pack_slots(slots: Iterable[KeptSlot]) -> bytes:
    """Slots as a kept slate holds them."""
    rows = [(slot.item_key, slot.score, slot.propensity, _number_of(slot.source)) for slot in slots]
    return np.array(rows, _SLOT).tobytes()


def _number_of(source: str) -> int:
    return _SOURCES.index(source if source in REASON_TEXTS else "base")
