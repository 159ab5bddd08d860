"""The degradation ladder: what an answer stands on, from everything down to nothing. The whole of it is on this page.

Reads go down the ladder and stay HTTP 200; writes, consent and erasure never do. A level is entered for one
of :class:`Reason` and no other, so both may be labels of a metric. Level 0 may carry a reason that did not
touch the answer: the registry is away, a newer bundle was refused.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple


class Level(IntEnum):
    """What an answer still stands on."""

    FULL = 0
    STALE = 1
    SESSION = 2
    POPULAR = 3
    STATIC = 4
    SHED = 5


class Rung(NamedTuple):
    """One level in words."""

    level: Level
    made_from: str
    needs: str
    entered_when: str


LADDER: Final = (
    Rung(Level.FULL, "retrieval and ranking on the state as stored", "store, bundle", "all is well"),
    Rung(Level.STALE, "the same on the state this worker saw ≤ 60 s ago", "bundle, memory", "store away or slow"),
    Rung(Level.SESSION, "what the request carries: anchors, cart, text", "bundle", "and this worker has not seen them"),
    Rung(Level.POPULAR, "what is popular in the request's context", "bundle", "and the request carries nothing"),
    Rung(Level.STATIC, "the fallback slate: the shop's, else the last popular one", "nothing", "no bundle was opened"),
    Rung(Level.SHED, "no slate: 503 with Retry-After", "nothing", "admission has no room left, and only then"),
)


class Reason(StrEnum):
    """Why an answer is not on level 0, or which fault did not touch it."""

    STORE_UNAVAILABLE = "store_unavailable"  # it refuses, resets or does not answer in time
    STORE_LOADING = "store_loading"  # it reads its append-only file
    STORE_READ_ONLY = "store_read_only"  # a replica that was not promoted
    STORE_BUSY = "store_busy"  # a script runs
    STORE_MISCONFIGURED = "store_misconfigured"  # it cannot write its own files
    STORE_DENIED = "store_denied"  # password or rights
    STORE_MOVED = "store_moved"  # another node of a cluster has the key
    STORE_DOWN = "store_down"  # the cluster has lost a part
    STORE_CROWDED = "store_crowded"  # as many clients as it allows
    STORE_FULL = "store_full"
    STORE_CONTENDED = "store_contended"
    STORE_LOST = "store_lost"  # it answers and has lost what was written to it
    STORE_OLDER = "store_older"  # it answers from an earlier time
    DEADLINE = "deadline"  # too little time was left for the next step
    DECISION_FAILED = "decision_failed"  # the engine failed on this customer
    NO_BUNDLE = "no_bundle"
    BUNDLE_REFUSED = "bundle_refused"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    OVERLOAD = "overload"  # level 5 alone


STORE_REASONS: Final = frozenset(reason for reason in Reason if reason.startswith("store_"))


class Degraded(NamedTuple):
    """How far down the ladder an answer was made, and why."""

    level: Level
    reason: str | None

    @property
    def is_store_there(self) -> bool:
        """Whether it is worth waiting for the store once more in the same request."""
        return self.reason not in STORE_REASONS and self.reason != Reason.DEADLINE


class Footing(NamedTuple):
    """What one answer may stand on beside the bundle; without a bundle there is only the fallback slate."""

    is_fresh: bool = False
    is_remembered: bool = False
    has_context: bool = False

    @property
    def level(self) -> Level:
        """The highest rung that this carries."""
        if self.is_fresh:
            return Level.FULL
        if self.is_remembered:
            return Level.STALE
        return Level.SESSION if self.has_context else Level.POPULAR
