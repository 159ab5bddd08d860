"""Making the online records again from the log, under live traffic, to the same bytes.

The drainer's lease is taken, so that the log stands still while the streams go on: what is in the files
then is the past, what came after a place in each stream is the present, and a record is the merge of both.
A record is read first and the streams after it; a commit on the version that was read therefore holds
exactly the lines up to that version, or fails and is tried again.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from features.consent import NOTHING_SAID, consents_said
from features.errors import StoreContended
from features.events import DAY_US
from features.identity import merge_edges
from features.journey import Journey
from features.rebuilt import REBUILT, Rebuilt
from features.settings import consent_defaults, pepper_of
from service.clock import wall_clock
from service.current import write_atomically
from service.drainer import Drainer
from service.epoch import Epoch
from service.erased_files import ErasedFiles
from service.links import kept
from service.present import Present
from service.store import keys
from service.store.clients import BACKGROUND, redis_client
from service.store.coalesced import Calls
from service.store.codec import ANY_BODY, MAX_SEEN, SEEN_S, event_digest
from service.store.customers import DAY_S, Change, Customers
from service.store.customers import REBUILT as CAUSE
from service.store.drain import DrainStore
from service.store.functions import call_function
from service.store.recently import Recently
from service.tasks import end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from redis.asyncio import Redis

    from features.identity import Edges
    from features.past import Past
    from features.settings import Settings
    from service.clock import Clock
    from service.store.known import Known
    from service.store.record import Record

SETTLED_US: Final = 10_000_000
"""An event that was received so long ago is committed, or will never be: late ones up to then are folded in."""
AT_ONCE: Final = 500
TRIES: Final = 200
"""Against customers who never pause a rebuild loses most of them, and has time."""
RENEW_S: Final = 1.0
PATIENCE_S: Final = 60.0


class Made(NamedTuple):
    """What a rebuild did: identities in the log, and records that were not as the log says."""

    identities: int
    written: int


class Lifetimes(NamedTuple):
    """How long things are kept, days: a record after its last event, and the time of an erasure."""

    record: int
    tombstone: int


class Rebuild:
    """The use case behind ``rihla rebuild``."""

    def __init__(
        self,
        customers: Customers,
        store: DrainStore,
        drainer: Drainer,
        client: Redis,
        keep: Lifetimes,
        clock: Clock = wall_clock,
        settled_us: int = SETTLED_US,
    ) -> None:
        self._customers, self._store, self._drainer, self._client = customers, store, drainer, client
        self._keep, self._clock, self._settled_us = keep, clock, settled_us

    async def __call__(self, data: Path, pasts: Callable[[int], Iterable[Past]]) -> Made:
        """Make every record again; done twice it does nothing.

        Parameters
        ----------
        pasts
            The log's identities, given since when ids of events are wanted.

        Raises
        ------
        StoreError
            The store or the lease went away; running it again finishes the work.
        """
        token = await self._take_lease()
        holding = asyncio.create_task(self._hold())
        try:
            await self._bury(ErasedFiles(data))
            places = await self._store.last_ids()
            while await self._drainer.round(places):
                pass
            now = self._clock()
            raw = msgspec.json.encode(Rebuilt(now - self._settled_us))
            await asyncio.to_thread(write_atomically, data / REBUILT, raw)
            made = await self._all(iter(pasts(now - SEEN_S * 1_000_000)), Present(places))
            if holding.done() or await self._store.lease() != token:
                raise StoreContended("the drainer's lease was lost on the way; please run it again")
            return made
        finally:
            await end(holding)
            await self._store.want_no_more()
            await self._store.release()

    async def _take_lease(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await self._store.want()
                if token := await self._store.lease():
                    return token
                await asyncio.sleep(RENEW_S / 10)

    async def _hold(self) -> None:
        """Keep the lease while the log is read."""
        while True:
            await asyncio.sleep(RENEW_S)
            await self._store.want()
            if not await self._store.lease():
                return

    async def _bury(self, erased: ErasedFiles) -> None:
        """Put tombstones back that the store has lost."""
        for member, at in (await asyncio.to_thread(erased.members)).items():
            where = keys.keys_of_member(member)
            names = (where.record, keys.keyed_decisions(where), keys.due(where.partition))
            arguments = (at, self._keep.tombstone * DAY_S, member)
            await call_function(self._client, "bury", (*names, *keys.stages(where.partition)), arguments)

    async def _all(self, pasts: Iterator[Past], present: Present) -> Made:
        n = written = 0
        while some := await asyncio.to_thread(lambda: tuple(itertools.islice(pasts, AT_ONCE))):
            n += len(some)
            written += await self._write(some, present)
        return Made(n, written)

    async def _write(self, pasts: tuple[Past, ...], present: Present) -> int:
        """Write some records, again where another was first; how many were not as they should be."""
        waiting, written = {past.customer_id: past for past in pasts}, 0
        for _ in range(TRIES):
            now = self._clock()
            known = await asyncio.gather(*(self._customers.load(each, now) for each in waiting))
            await present.catch_up(self._store)
            outcomes = await asyncio.gather(*(self._one(each, waiting, present, now) for each in known))
            written += sum(outcome is True for outcome in outcomes)
            lost = [each for each, outcome in zip(known, outcomes, strict=True) if outcome is False]
            waiting = {each.asked.customer_id: waiting[each.asked.customer_id] for each in lost}
            if not waiting:
                return written
        raise StoreContended(f"{TRIES} tries of a commit found a newer version")

    async def _one(self, known: Known, pasts: dict[str, Past], present: Present, now: int) -> bool | None:
        """Write one record: True when it is written, False when it was overtaken, None when it is right."""
        record, past = known.asked, pasts[known.asked.customer_id]
        if present.is_erased(record.customer_id) or (not record.version and self._has_expired(past, now)):
            return None
        made = self._made(known, past, present, now)
        if record.raw_state == self._customers.codec.pack(made.state) and made.consents is None and made.edges is None:
            return None
        for event_id, at in past.seen[-MAX_SEEN:]:
            if record.seen.body_of(event_digest(event_id)) is None and len(record.seen) < MAX_SEEN:
                record.seen.add(event_digest(event_id), ANY_BODY, at)
        is_written = await self._customers.commit(record, made)
        if is_written and (record.edges or made.edges):
            await self._customers.look_again([record, *known.others], now)
        return is_written

    def _made(self, known: Known, past: Past, present: Present, now: int) -> Change:
        """What the log and the streams together say of an identity; None for what the record has already."""
        schema, record = self._customers.codec.schema, known.asked
        since = [line for line in present.lines_of(past.customer_id) if line.occurred_at > (record.erased_at or 0)]
        state = schema.with_lines(past.state, since)
        consents = past.consents.merge(consents_said(since))
        edges = kept(self._edges(record, past, present), now)
        told = record.consents if consents is NOTHING_SAID else consents.merge(record.consents)
        return Change(
            standing=self._customers.journey.stage_of(known.with_state(state), now),
            now=now,
            cause=CAUSE,
            state=state,
            consents=None if told == record.consents else told,
            edges=None if edges == dict(record.edges) else edges,
            is_listed=known.head is record and known.is_personalised,
        )

    def _edges(self, record: Record, past: Past, present: Present) -> Edges:
        """What the log, the streams and the record say of links; nothing from before an erasure."""
        since = {
            other: edge
            for other, edge in present.edges_of(past.customer_id).items()
            if edge.occurred_at > (record.erased_at or 0)
        }
        return merge_edges(merge_edges(past.edges, since), record.edges)

    def _has_expired(self, past: Past, now: int) -> bool:
        """Whether a record that is not there has every right not to be."""
        last = past.state.last_touch
        return last is not None and last < now - self._keep.record * DAY_US


async def rebuild(
    settings: Settings, data: Path, pasts: Callable[[int], Iterable[Past]], *, settled_us: int = SETTLED_US
) -> Made:
    """Rebuild the store that the settings name, and say that it is whole again.

    What was received within the last ``settled_us`` may still be on its way, so late events of then wait for the next.

    Raises
    ------
    StoreError, OSError
    """
    client = redis_client(settings.redis_url or "", BACKGROUND)
    store = DrainStore(client, f"rebuild-{os.getpid()}-{secrets.token_hex(4)}")
    journey, defaults = Journey.load(settings.journey), consent_defaults(settings)
    days = settings.state_ttl_days
    customers = Customers(Calls.patient(client), journey, Recently(wall_clock), pepper_of(settings), days, defaults)
    try:
        keep = Lifetimes(days, settings.tombstone_days)
        run = Rebuild(customers, store, Drainer(store, data), client, keep, settled_us=settled_us)
        made = await run(data, pasts)
        await Epoch(client, settings.home).renew()
        return made
    finally:
        await client.aclose()
