"""Who stands in a stage now, a page at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from features.consent import PURPOSES
from features.journey import STAGES
from service.clock import moment_of
from service.cursors import of_cursor, to_cursor, wrong_cursor
from service.problems import Flaw, InvalidRequest
from service.store import keys
from service.store.members import members_after

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from service.clock import Clock
    from service.models import AudienceQuery
    from service.store.customers import Customers
    from service.store.known import Known

MAX_LOOKS: Final = 2 * len(keys.PARTITIONS)
"""Rounds in which a page looks for customers who still stand there, before it goes out as it is."""


class AudiencePlace(msgspec.Struct, frozen=True, array_like=True):
    """The last customer of a page: the partition, since when they stand there (microseconds), and their key."""

    stage: str
    partition: int = 0
    since: float = 0
    member: str = ""


class PageAudience:
    """The use case behind ``GET /v1/audiences/{stage}``.

    Customers come by partition and by since when they stand there, so one who stays is met exactly once,
    however long the paging takes.
    """

    def __init__(self, customers: Customers, client: Redis, clock: Clock) -> None:
        self._customers, self._client, self._clock = customers, client, clock

    async def __call__(self, stage: str, query: AudienceQuery) -> dict[str, Any]:
        """One page; ``next_cursor`` is null after the last.

        Raises
        ------
        InvalidRequest
            No such stage, or a cursor of another list.
        StoreUnavailable
        """
        place: AudiencePlace | None = self._begin(stage, query.cursor)
        found: list[dict[str, Any]] = []
        for _ in range(MAX_LOOKS):
            if place is None or len(found) == query.limit:
                break
            some, place = await self._next(place, query.limit - len(found))
            found += some
        return {"stage": stage, "customers": found, "next_cursor": None if place is None else to_cursor(place)}

    def _begin(self, stage: str, cursor: str | None) -> AudiencePlace:
        if stage not in STAGES:
            flaw = Flaw("/path/stage", "unknown_stage", f"expected one of {', '.join(STAGES)}")
            raise InvalidRequest((flaw,))
        place = AudiencePlace(stage) if cursor is None else of_cursor(cursor, AudiencePlace)
        if place.stage != stage or place.partition not in keys.PARTITIONS:
            raise wrong_cursor()
        return place

    async def _next(self, place: AudiencePlace, most: int) -> tuple[list[dict[str, Any]], AudiencePlace | None]:
        """Some customers after a place, and the place after them; None after the last."""
        name = keys.stage(place.partition, place.stage)
        members = await members_after(self._client, name, place.since, place.member, most)
        now = self._clock()
        loads = (self._customers.load_at(keys.keys_of_member(member), None, now) for member, _ in members)
        known = await asyncio.gather(*loads)
        rows = [row for each in known if (row := self._row(each, place.stage, now)) is not None]
        if len(members) == most:
            member, since = members[-1]
            return rows, msgspec.structs.replace(place, since=since, member=member)
        further = place.partition + 1
        return rows, AudiencePlace(place.stage, further) if further in keys.PARTITIONS else None

    def _row(self, known: Known, stage: str, now: int) -> dict[str, Any] | None:
        """One customer; None for one who has left meanwhile, or is being looked at by the sweeper."""
        if not known.exists or not known.asked.customer_id or known.head is not known.asked:
            return None
        standing = self._customers.journey.stage_of(known.state, now)
        if standing.stage != stage:
            return None
        return {
            "customer_id": known.asked.customer_id,
            "phase": standing.phase,
            "at_risk": standing.at_risk,
            "since": None if standing.since is None else moment_of(standing.since),
            "consent": {purpose: known.allows(purpose) for purpose in PURPOSES},
        }
