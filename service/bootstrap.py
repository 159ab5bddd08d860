"""The one place where the parts of a worker are put together."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.errors import InputError, StoreError
from features.journey import Journey
from features.settings import Settings, consent_defaults, pepper_of
from recommender.caps import Caps
from service.audiences import PageAudience
from service.catalog_changes import PutItems, follow_catalog, load_catalog
from service.clock import wall_clock
from service.customers import DescribeCustomer
from service.deadline import Floors
from service.deciding import Deciding
from service.epoch import Epoch
from service.erase import DescribeErasure, EraseCustomer
from service.export import ExportCustomer
from service.fallback import FallbackSlate
from service.grounds import Grounds
from service.health import Health
from service.ingest_events import IngestEvents
from service.lag import LoopLag
from service.links import Links
from service.list_changes import ListStageChanges
from service.memories import Memories
from service.offers import Offers
from service.recommend import Recommend
from service.reserving import Reserving
from service.serving import Serving
from service.store.clients import BACKGROUND, NONSENSE, READS, WRITES, redis_client
from service.store.coalesced import Calls
from service.store.customers import Customers
from service.store.decision_log import DecisionLog
from service.store.erasures import Erasures
from service.store.functions import load_functions
from service.store.item_events import ItemEvents
from service.store.items import ItemStore
from service.store.recently import Recently
from service.store.reservations import Reservations
from service.store.stage_changes import StageChanges
from service.tallies import keep_writing
from service.tasks import end
from service.tell import Tell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from service.clock import Clock


@dataclass(frozen=True)
class Clients:
    """Connections to the store, by how long they may take."""

    reads: Redis
    writes: Redis
    background: Redis

    async def aclose(self) -> None:
        """Close every connection."""
        for client in (self.reads, self.writes, self.background):
            await client.aclose()


@dataclass(frozen=True)
class Program:
    """Everything that the routes of one worker use."""

    settings: Settings
    clients: Clients
    calls: Calls
    serving: Serving
    customers: Customers
    decisions: DecisionLog
    items: ItemStore
    epoch: Epoch
    recommend: Recommend
    reserving: Reserving
    ingest: IngestEvents
    tell: Tell
    describe: DescribeCustomer
    memories: Memories
    erase: EraseCustomer
    erasure: DescribeErasure
    export: ExportCustomer
    audience: PageAudience
    stage_changes: ListStageChanges
    put_items: PutItems
    health: Health
    lag: LoopLag


def assemble(settings: Settings, clock: Clock = wall_clock) -> Program:
    """A worker's parts; nothing is connected yet.

    Raises
    ------
    InputError
        There is no ``redis_url``, or ``caps`` cannot be read.
    """
    clients = _clients(settings)
    lag = LoopLag()
    calls = Calls.over(clients.reads, clients.writes, lag)
    journey = Journey.load(settings.journey)
    serving = Serving(
        settings.home,
        journey,
        bytes.fromhex(settings.verify_key) if settings.verify_key else None,
        FallbackSlate.load(settings.home, settings.fallback_slate),
    )
    customers = Customers(
        calls,
        journey,
        Recently(clock),
        pepper_of(settings),
        settings.state_ttl_days,
        consent_defaults(settings),
    )
    decisions = DecisionLog(calls.writes)
    items = ItemStore(clients.writes, clients.background)
    epoch = Epoch(clients.background, settings.home)
    erasures = Erasures(clients.background, settings.tombstone_days)
    erasure = DescribeErasure(erasures, serving)
    ingest = IngestEvents(
        customers,
        ItemEvents(calls.writes),
        Links(customers),
        serving,
        clock,
        store_clock=epoch.clock,
        allow_contact_ids=settings.allow_contact_ids,
    )
    floors, caps = Floors(), Caps.of_text(settings.caps)
    deciding = Deciding(serving, customers.empty, clock, floors, caps=caps, slate_ttl_s=settings.slate_ttl_s)
    reserving = Reserving(serving, customers, Reservations(calls), decisions, deciding, floors, clock)
    offers = Offers(serving)
    memories = Memories(customers, reserving, offers)
    grounds = Grounds(serving, customers, floors, epoch)
    describe = DescribeCustomer(customers, serving, clock)
    return Program(
        settings=settings,
        clients=clients,
        calls=calls,
        serving=serving,
        customers=customers,
        decisions=decisions,
        items=items,
        epoch=epoch,
        recommend=Recommend(serving, customers, grounds, deciding, reserving, offers, clock),
        reserving=reserving,
        ingest=ingest,
        tell=Tell(ingest),
        describe=describe,
        memories=memories,
        erase=EraseCustomer(customers, erasures, memories, erasure, clock),
        erasure=erasure,
        export=ExportCustomer(customers, describe, serving, clients.background, settings.home / "data"),
        audience=PageAudience(customers, clients.background, clock),
        stage_changes=ListStageChanges(customers, StageChanges(clients.background)),
        put_items=PutItems(items, serving),
        health=Health(calls.reads, serving, epoch),
        lag=lag,
    )


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[None]:
    """Follow bundles and the catalogue while the worker lives; finish what is under way at its end."""
    await program.serving.look()
    with suppress(StoreError, *NONSENSE):  # a worker starts without the store and answers from further down the ladder
        await load_functions(program.clients.background)
        await load_catalog(program.items, program.serving)
    followers = [
        asyncio.create_task(keep_writing()),
        asyncio.create_task(program.lag.watch()),
        asyncio.create_task(program.serving.watch()),
        asyncio.create_task(program.epoch.watch()),
        asyncio.create_task(follow_catalog(program.items, program.serving, program.memories)),
    ]
    try:
        yield
    finally:
        await end(*followers)
        await program.reserving.owed.aclose()
        await program.decisions.aclose()
        await program.calls.reads.aclose()
        await program.calls.writes.aclose()
        await program.clients.aclose()


def _clients(settings: Settings) -> Clients:
    if settings.redis_url is None:
        raise InputError("RIHLA_REDIS_URL: expected the address of a store", pointer="/redis_url")
    reads, writes, background = (redis_client(settings.redis_url, each) for each in (READS, WRITES, BACKGROUND))
    return Clients(reads, writes, background)
