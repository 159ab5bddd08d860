"""Exposure memories as records hold them: eight bytes that differ after every change, then the memory."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from recommender.exposure import NOTHING_SHOWN, Exposure
from recommender.exposure_codec import UnreadableExposure, pack_exposure, unpack_exposure
from service.metrics import UNREADABLE

if TYPE_CHECKING:
    from service.store.keys import CustomerKeys
    from service.store.known import Known

STAMP_BYTES: Final = 8
"""As in ``functions.lua``. Drawn by lot, so that no memory is taken for one that was there before."""


def stamp_of(raw: bytes | None) -> bytes:
    """What a change on top of a stored memory has to name; b"" where there is none."""
    return b"" if raw is None else raw[:STAMP_BYTES]


def memory_in(raw: bytes | None) -> Exposure:
    """The memory in a stored field; one that cannot be trusted is counted and taken for empty."""
    try:
        return unpack_exposure(None if raw is None else raw[STAMP_BYTES:])
    except UnreadableExposure:
        UNREADABLE.labels("exposure").inc()
        return NOTHING_SHOWN


def stamped(memory: Exposure) -> bytes:
    """A memory as it is stored."""
    return secrets.token_bytes(STAMP_BYTES) + pack_exposure(memory)


def exposure_of(known: Known) -> Exposure:
    """What a customer was shown under all of their identities."""
    memory = NOTHING_SHOWN
    for raw in known.exposures:
        memory = memory.merged(memory_in(raw))
    return memory


def origin_of(where: CustomerKeys) -> int:
    """Which record folds shows into counts, 16 bits."""
    return int(where.member[:4], 16)
