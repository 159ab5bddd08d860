"""The customers' records: one read for a slate, one compare-and-set for what changes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from service.metrics import UNREADABLE
from service.store import keys
from service.store.codec import SeenEvents, StateCodec, UnreadableState, pack_standing, unpack_standing
from service.store.functions import call

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from features.journey import Journey, Standing
    from service.store.coalesced import Calls
    from service.store.keys import CustomerKeys
    from service.store.recently import Recently

DAY_S: Final = 86_400
KEEP_CHANGES_S: Final = 7 * DAY_S


@dataclass(frozen=True)
class Record:
    """A customer's record as one version of it was read: what a commit starts from.

    ``erased_at`` (microseconds) is 0 for a customer who was never erased.
    """

    keys: CustomerKeys
    customer_id: str
    version: int
    state: Any
    is_readable: bool
    seen: SeenEvents
    standing: Standing | None
    erased_at: int = 0


class Change(NamedTuple):
    """What is to be written; ``state`` None leaves state and dedupe ids as they are. Times in microseconds."""

    standing: Standing
    now: int
    cause: str
    state: Any = None
    events: Sequence[bytes] = ()


class Customers:
    """Reads and commits over shared round trips.

    Every method raises ``StoreUnavailable``; :meth:`commit` also ``StoreFull``.
    """

    def __init__(self, calls: Calls, journey: Journey, recently: Recently, pepper: bytes, ttl_days: int) -> None:
        self.journey = journey
        self.codec = StateCodec(journey.schema)
        self.empty = journey.schema.empty()
        self._calls, self._recently = calls, recently
        self._pepper, self._ttl_days = pepper, ttl_days

    def keys_of(self, customer_id: str) -> CustomerKeys:
        """Where a customer's record is."""
        return keys.customer_keys(customer_id, self._pepper)

    async def read(self, where: CustomerKeys, customer_id: str) -> Any:
        """State of a customer; the empty one when there is none, or none that can be read."""
        stored_id, raw = await self._calls.reads.call("HMGET", where.record, "id", "s")
        state = self._state(customer_id, stored_id, raw)
        self._recently.put(where.member, None if state is None else raw)
        return self.empty if state is None else state

    def stale(self, where: CustomerKeys) -> Any:
        """State as this process last read or wrote it; None when that is too long ago."""
        raw = self._recently.get(where.member)
        return None if raw is None else self.codec.unpack(raw)

    def forget_recent(self, members: Iterable[str]) -> None:
        """Forget what this process remembers of some customers."""
        for member in members:
            self._recently.put(member, None)

    def forget_all_recent(self) -> None:
        """Forget what this process remembers of everybody."""
        self._recently.clear()

    async def load(self, customer_id: str, now: int) -> Record:
        """Everything that a commit needs."""
        return await self.load_at(self.keys_of(customer_id), customer_id, now)

    async def load_at(self, where: CustomerKeys, customer_id: str | None, now: int) -> Record:
        """As :meth:`load`; ``customer_id`` None takes the stored one, "" when the record is gone."""
        stored_id, raw, version, seen, standing, erased_at = await self._calls.writes.call(
            "HMGET", where.record, "id", "s", "v", "d", "st", "t"
        )
        asked = customer_id if customer_id is not None else (stored_id or b"").decode(errors="replace")
        state = self._state(asked, stored_id, raw)
        return Record(
            keys=where,
            customer_id=asked,
            version=int(version or 0),
            state=self.empty if state is None else state,
            is_readable=state is not None,
            seen=SeenEvents(seen or b"", now),
            standing=unpack_standing(standing),
            erased_at=int(erased_at or 0),
        )

    async def commit(self, record: Record, change: Change) -> bool:
        """Write a change on top of the version that was read; False when that is no longer the stored one."""
        where, to = record.keys, change.standing
        left = (record.standing or to).stage
        names = (
            *(where.record, keys.events(where.partition), keys.due(where.partition), keys.changes(where.partition)),
            *(keys.stage(where.partition, left), keys.stage(where.partition, to.stage)),
        )
        raw = None if change.state is None else self.codec.pack(change.state)
        answer, _ = await self._calls.writes.call(*call("commit", names, self._arguments(record, change, raw)))
        if answer and raw is not None:
            self._recently.put(where.member, raw)
        return bool(answer)

    async def forget(self, where: CustomerKeys) -> None:
        """Take a customer whose record has expired out of the stages."""
        names = (where.record, keys.due(where.partition), *keys.stages(where.partition))
        await self._calls.writes.call(*call("forget", names, [where.member]))

    def _arguments(self, record: Record, change: Change, raw: bytes | None) -> list[str | bytes | int]:
        to = change.standing
        return [
            record.version,
            "" if raw is None else self._ttl_s(record.keys.member),
            record.customer_id,
            raw or "",
            "" if raw is None else record.seen.pack(),
            pack_standing(to),
            record.keys.member,
            to.since or 0,
            to.changes_at or "inf",
            stage_change(record, change, self.journey.version) or "",
            KEEP_CHANGES_S,
            *change.events,
        ]

    def _ttl_s(self, member: str) -> int:
        """Time to live, ±10 % by customer, so that a busy day does not expire at once."""
        share = int(member[:4], 16) / 0xFFFF
        return int(self._ttl_days * DAY_S * (0.9 + 0.2 * share))

    def _state(self, customer_id: str, stored_id: bytes | None, raw: bytes | None) -> Any:
        """The stored state, or None where there is none that can be trusted: counted, and written anew later."""
        if raw is None:
            return None
        try:
            if stored_id != customer_id.encode():
                raise UnreadableState("foreign")
            return self.codec.unpack(raw)
        except UnreadableState as error:
            UNREADABLE.labels(error.why).inc()
            return None


def stage_change(record: Record, change: Change, definition_version: str) -> bytes | None:
    """The record of a move between stages, phases or in and out of risk; None when nothing moved."""
    before, to = record.standing, change.standing
    if before is not None and before[:3] == to[:3]:
        return None
    return msgspec.json.encode(
        {
            "customer_id": record.customer_id,
            "from": None if before is None else before.stage,
            "to": to.stage,
            "phase": to.phase,
            "at_risk": to.at_risk,
            "since": to.since,
            "at": change.now,
            "cause": change.cause,
            "definition_version": definition_version,
        }
    )
