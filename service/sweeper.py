"""The sweeper: some stages change by the clock alone, and somebody has to notice.

Every customer is due at the moment when their stage changes without an event, or when their record
expires. What is due is decided anew and committed under the version that was read, so a customer who
acts at the same moment is never overwritten, and two sweepers do no harm.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from features.errors import StoreError
from features.journey import Journey
from features.settings import consent_defaults, pepper_of
from service.clock import wall_clock
from service.metrics import SWEPT
from service.process import run_process, wait
from service.store import keys
from service.store.clients import BACKGROUND, redis_client
from service.store.coalesced import Calls
from service.store.customers import Change, Customers
from service.store.due import due_members
from service.store.recently import Recently
from service.trouble import Trouble

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from features.journey import Standing
    from features.settings import Settings
    from service.clock import Clock
    from service.store.known import Known

EVERY_S: Final = 1.0
AT_ONCE: Final = 50
log = structlog.get_logger()


class Sweeper:
    """Moves customers whose stage the clock has changed."""

    def __init__(self, customers: Customers, client: Redis, clock: Clock = wall_clock) -> None:
        self._customers, self._client, self._clock = customers, client, clock

    async def sweep(self) -> int:
        """One round over all partitions; how many customers were looked at.

        Raises
        ------
        StoreError
        """
        now = self._clock()
        members = await due_members(self._client, now, AT_ONCE)
        await asyncio.gather(*(self._settle(member, now) for member in members))
        return len(members)

    async def _settle(self, member: str, now: int) -> None:
        """Decide one customer's stage anew; one whose record has expired is forgotten."""
        where = keys.keys_of_member(member)
        known = await self._customers.load_at(where, None, now)
        record = known.asked
        if not record.version:
            await self._customers.forget(where)
            return
        standing = self._standing(known, now)
        change = Change(standing, now, "clock", is_listed=known.head is record and known.is_personalised)
        is_written = await self._customers.commit(record, change)
        if is_written and change.is_listed and standing[:3] != (record.standing or ())[:3]:
            SWEPT.labels(standing.stage).inc()

    def _standing(self, known: Known, now: int) -> Standing:
        """Where a customer stands; one whose state cannot be read stays where they were until the next event."""
        record = known.asked
        if record.is_damaged and record.standing is not None:
            return record.standing._replace(changes_at=None)
        return self._customers.journey.stage_of(known.state, now)


async def sweep_for_ever(settings: Settings, stop: asyncio.Event) -> None:
    """Sweep every second, and at once again while there is much to do."""
    client = redis_client(settings.redis_url or "", BACKGROUND)
    calls = Calls.patient(client)
    customers = Customers(
        calls,
        Journey.load(settings.journey),
        Recently(wall_clock),
        pepper_of(settings),
        settings.state_ttl_days,
        consent_defaults(settings),
    )
    sweeper, trouble = Sweeper(customers, client), Trouble("sweep")
    try:
        while not stop.is_set():
            try:
                n = await sweeper.sweep()
            except StoreError as error:
                trouble.failed(error)
                n = 0
            else:
                trouble.succeeded()
            if n < AT_ONCE:
                await wait(stop, EVERY_S)
    finally:
        await client.aclose()


def main() -> None:
    """Run one sweeper."""
    run_process("sweeper", sweep_for_ever)


if __name__ == "__main__":
    main()
