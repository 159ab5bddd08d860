"""The customers' records: one read for a slate, one compare-and-set for what changes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from features.consent import Defaults
from features.identity import MAX_REACH
from service.store import keys
from service.store.clients import translated
from service.store.codec import StateCodec, pack_consents, pack_edges, pack_standing
from service.store.exposures import stamp_of, stamped
from service.store.functions import call
from service.store.known import Known, members_among
from service.store.record import ALL_FIELDS, READ_FIELDS, record_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from features.consent import Consents
    from features.identity import Edges
    from features.journey import Journey, Standing
    from recommender.exposure import Exposure
    from service.store.coalesced import Calls, Coalesced
    from service.store.keys import CustomerKeys
    from service.store.known import Remembered
    from service.store.recently import Recently
    from service.store.record import Record

DAY_S: Final = 86_400
KEEP_CHANGES_S: Final = 7 * DAY_S
REBUILT: Final = "rebuild"
"""Cause of a change that makes a lost record again: nobody entered a stage by it."""
NO_DEFAULTS: Final = Defaults()


class Change(NamedTuple):
    """What is to be written; ``None`` leaves a field as it is. Times in microseconds.

    ``state`` is written with the dedupe ids. ``is_listed`` False takes the identity out of the stages: one that
    another stands for, or whose profile may not be used.
    """

    standing: Standing
    now: int
    cause: str
    state: Any = None
    events: Sequence[bytes] = ()
    consents: Consents | None = None
    edges: Edges | None = None
    exposure: Exposure | None = None
    is_listed: bool = True

    @property
    def is_heard(self) -> bool:
        """Whether it comes from the customer, so that the record's time to live starts anew."""
        return self.state is not None or self.consents is not None or self.edges is not None


class Customers:
    """Reads and commits over shared round trips.

    Every method raises ``StoreUnavailable``; :meth:`commit` also ``StoreFull``.
    """

    def __init__(
        self,
        calls: Calls,
        journey: Journey,
        recently: Recently,
        pepper: bytes,
        ttl_days: int,
        defaults: Defaults = NO_DEFAULTS,
    ) -> None:
        self.journey, self.defaults = journey, defaults
        self.codec = StateCodec(journey.schema)
        self.empty = self.codec.empty
        self._calls, self._recently = calls, recently
        self._pepper, self._ttl_days = pepper, ttl_days

    def keys_of(self, customer_id: str) -> CustomerKeys:
        """Where a customer's record is."""
        return keys.customer_keys(customer_id, self._pepper)

    async def read(self, customer_id: str) -> Known:
        """A whole customer, for a slate: one round trip, more only where identities are linked."""
        return await self.read_at(self.keys_of(customer_id), customer_id)

    async def read_at(self, where: CustomerKeys, customer_id: str) -> Known:
        """As :meth:`read`."""
        asked = await self._record(self._calls.reads, where, customer_id, READ_FIELDS)
        known = await self._with_others(self._calls.reads, asked)
        if known.exists:
            states = known.raw_states if known.is_personalised else ()
            self._recently.put(asked.keys.member, states, known.consents)
        else:
            self._recently.forget(asked.keys.member)
        return known

    def remembered(self, customer_id: str) -> Remembered | None:
        """A customer as this process last read or wrote them; None when that is too long ago."""
        return self._recently.get(self.keys_of(customer_id).member)

    def forget_recent(self, members: Iterable[str]) -> None:
        """Forget what this process remembers of some customers."""
        for member in members:
            self._recently.forget(member)

    def forget_all_recent(self) -> None:
        """Forget what this process remembers of everybody."""
        self._recently.clear()

    def state_of(self, remembered: Remembered) -> Any:
        """State of a remembered customer; the empty one where the profile may not be used."""
        return self.codec.merged([self.codec.unpack(raw) for raw in remembered.raw_states])

    async def load(self, customer_id: str, now: int) -> Known:
        """A whole customer, with everything that a commit of the identity asked about needs."""
        return await self.load_at(self.keys_of(customer_id), customer_id, now)

    async def load_at(self, where: CustomerKeys, customer_id: str | None, now: int) -> Known:
        """As :meth:`load`; ``customer_id`` None takes the stored one, "" when the record is gone."""
        asked = await self._record(self._calls.writes, where, customer_id, ALL_FIELDS, now)
        return await self._with_others(self._calls.writes, asked)

    async def commit(self, record: Record, change: Change) -> bool:
        """Write a change on top of the version that was read; False when that is no longer the stored one."""
        where, to = record.keys, change.standing
        left = (record.standing or to).stage
        names = (
            *(where.record, keys.events(where.partition), keys.due(where.partition), keys.changes(where.partition)),
            *(keys.stage(where.partition, left), keys.stage(where.partition, to.stage)),
        )
        fields = self._fields(record, change)
        command = call("commit", names, self._arguments(record, change, fields))
        with translated():
            answer, _ = await self._calls.writes.call(*command)
        if answer:
            self._remember(record, change, fields.get("s"))
        return bool(answer)

    async def look_again(self, records: Iterable[Record], now: int) -> None:
        """Have the sweeper decide anew where some identities stand, since another of their customer has moved."""
        due = ((keys.due(each.keys.partition), now, each.keys.member) for each in records)
        await asyncio.gather(*(self._calls.writes.call("ZADD", *each) for each in due))

    async def forget(self, where: CustomerKeys) -> None:
        """Take a customer whose record has expired out of the stages."""
        names = (where.record, keys.due(where.partition), *keys.stages(where.partition))
        await self._calls.writes.call(*call("forget", names, [where.member]))

    async def _record(
        self, calls: Coalesced, where: CustomerKeys, customer_id: str | None, fields: tuple[str, ...], now: int = 0
    ) -> Record:
        found = await calls.call("HMGET", where.record, *fields)
        with translated():
            return record_of(self.codec, where, customer_id, found, now)

    async def _with_others(self, calls: Coalesced, asked: Record) -> Known:
        """The identities that may belong to the same customer, read a step further at a time."""
        if not asked.edges:
            return Known(asked, (asked,), self.defaults)
        found = {asked.customer_id: asked}
        while waiting := {other for each in found.values() for other in each.linked} - found.keys():
            if len(found) + len(waiting) > MAX_REACH:
                return Known(asked, (asked,), self.defaults)
            read = (self._record(calls, self.keys_of(other), other, READ_FIELDS) for other in waiting)
            found.update((record.customer_id, record) for record in await asyncio.gather(*read))
        if len(found) == 1:
            return Known(asked, (asked,), self.defaults)
        members = members_among(asked.customer_id, found)
        return Known(asked, tuple(found[member] for member in members), self.defaults)

    def _remember(self, record: Record, change: Change, raw: bytes | None) -> None:
        """What was written is what was last seen; of a linked identity only a read sees the whole."""
        consents = record.consents if change.consents is None else change.consents
        if record.linked or change.edges is not None:
            self._recently.forget(record.keys.member)
        elif raw is not None:
            may_use = consents.allows("personalisation", self.defaults)
            self._recently.put(record.keys.member, (raw,) if may_use else (), consents)

    def _fields(self, record: Record, change: Change) -> dict[str, bytes]:
        """The fields of the record that a change writes."""
        fields = {"id": record.customer_id.encode(), "st": pack_standing(change.standing)}
        if change.state is not None:
            fields |= {"s": self.codec.pack(change.state), "d": record.seen.pack()}
        if change.consents is not None:
            fields["c"] = pack_consents(change.consents)
        if change.edges is not None:
            fields["e"] = pack_edges(change.edges)
        if change.exposure is not None:
            fields["x"] = stamped(change.exposure)
        return fields

    def _arguments(self, record: Record, change: Change, fields: dict[str, bytes]) -> list[str | bytes | int]:
        to = change.standing
        return [
            record.version,
            self._ttl_s(record.keys.member) if change.is_heard else "",
            record.keys.member,
            (to.since or 0) if change.is_listed else "",
            to.changes_at or "inf",
            (stage_change(record, change, self.journey.version) if change.is_listed else None) or "",
            KEEP_CHANGES_S,
            "-" if change.exposure is None else stamp_of(record.exposure),
            len(fields),
            *(part for pair in fields.items() for part in pair),
            *change.events,
        ]

    def _ttl_s(self, member: str) -> int:
        """Time to live, ±10 % by customer, so that a busy day does not expire at once."""
        share = int(member[:4], 16) / 0xFFFF
        return int(self._ttl_days * DAY_S * (0.9 + 0.2 * share))


def stage_change(record: Record, change: Change, definition_version: str) -> bytes | None:
    """The record of a move between stages, phases or in and out of risk; None when nothing moved."""
    before, to = record.standing, change.standing
    is_known_again = before is None and change.cause == REBUILT
    if is_known_again or (before is not None and before[:3] == to[:3]):
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
