"""One identity's record as it was read: what is made of its fields, and what a commit starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from features.consent import NOTHING_SAID, Consents
from features.identity import linked
from service.metrics import UNREADABLE
from service.store.codec import SeenEvents, UnreadableState, unpack_consents, unpack_edges, unpack_standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from features.identity import Edge
    from features.journey import Standing
    from service.store.codec import StateCodec
    from service.store.keys import CustomerKeys

READ_FIELDS: Final = ("id", "s", "v", "c", "e", "x", "t")
"""What a slate needs to know."""
ALL_FIELDS: Final = (*READ_FIELDS, "st", "d")
"""What a commit needs beside it."""
MAX_DIGITS: Final = 16
NO_EDGES: Final[Mapping[str, Edge]] = {}


@dataclass(frozen=True, eq=False)
class Record:
    """A record at one version.

    Attributes
    ----------
    customer_id : str
        The id asked for; where none was, the stored one, "" when the record is gone.
    raw_state, exposure : bytes or None
        As stored; ``state`` unpacks the first when it is wanted.
    consents, edges
        Of this identity alone.
    erased_at : int or None
        Microseconds, where the record is what an erasure left.
    """

    codec: StateCodec
    keys: CustomerKeys
    customer_id: str
    version: int
    raw_state: bytes | None
    consents: Consents
    edges: Mapping[str, Edge]
    exposure: bytes | None
    erased_at: int | None
    standing: Standing | None
    seen: SeenEvents

    @cached_property
    def linked(self) -> frozenset[str]:
        """The identities that this end says it is linked to."""
        return linked(self.edges)

    @property
    def is_tombstone(self) -> bool:
        """Whether an erasure left nothing but its time, and nothing has come since."""
        has_more = self.raw_state is not None or self.exposure is not None or bool(self.edges)
        return self.erased_at is not None and not has_more and self.consents is NOTHING_SAID

    @property
    def is_damaged(self) -> bool:
        """Whether there is a state that cannot be trusted: counted, and written anew by the next event."""
        return self.raw_state is not None and self._unpacked is None

    @property
    def state(self) -> Any:
        """The stored state, the empty one where there is none that can be trusted."""
        return self.codec.empty if self.raw_state is None or self._unpacked is None else self._unpacked

    @cached_property
    def _unpacked(self) -> Any:
        if self.raw_state is None:
            return None
        try:
            return self.codec.unpack(self.raw_state)
        except UnreadableState as error:
            UNREADABLE.labels(error.why).inc()
            return None


def record_of(
    codec: StateCodec, where: CustomerKeys, customer_id: str | None, found: Sequence[bytes | None], now: int
) -> Record:
    """The record behind the values of ``READ_FIELDS`` or ``ALL_FIELDS``.

    One that carries another customer's id is taken for empty, and counted: no key may ever tell of somebody else.
    """
    stored_id, state, version, consents, edges, exposure, erased_at, *more = found
    asked = customer_id if customer_id is not None else (stored_id or b"").decode(errors="replace")
    if stored_id is not None and stored_id != asked.encode():
        UNREADABLE.labels("foreign").inc()
        state = consents = edges = exposure = None
    standing, seen = more or (None, None)
    return Record(
        codec=codec,
        keys=where,
        customer_id=asked,
        version=_number(version) or 0,
        raw_state=state,
        consents=NOTHING_SAID if consents is None else unpack_consents(consents),
        edges=NO_EDGES if edges is None else unpack_edges(edges),
        exposure=exposure,
        erased_at=_number(erased_at),
        standing=unpack_standing(standing),
        seen=SeenEvents(seen or b"", now),
    )


def _number(raw: bytes | None) -> int | None:
    """A whole number as the store's functions read it; None, and counted, for what is none."""
    if raw is None:
        return None
    if len(raw) <= MAX_DIGITS and raw.isdigit() and (raw == b"0" or not raw.startswith(b"0")):
        return int(raw)
    UNREADABLE.labels("number").inc()
    return None
