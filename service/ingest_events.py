"""Taking in events: read, drop what is known, merge, commit. A 202 is given only for what the store holds.

Writes fail closed: nothing is accepted while the store is away.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from features.errors import InputError, RihlaError, StoreContended
from features.ingest import lines_of
from service.metrics import EVENTS
from service.problems import CustomerErased, IdConflict, TooManyEvents
from service.store.codec import MAX_SEEN, body_digest, event_digest
from service.store.customers import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.events import Line
    from service.clock import Clock
    from service.serving import Serving
    from service.store.customers import Customers, Record
    from service.store.item_events import ItemEvents

TRIES: Final = 8
BACK_OFF_S: Final = 0.002
SOURCE: Final = "api"
encode_lines: Final = msgspec.msgpack.Encoder().encode


class Arrived(NamedTuple):
    """An event that can be read: its place in the request, its lines, and digests of its id and body."""

    place: int
    lines: tuple[Line, ...]
    event: int
    body: int


class Rejected(NamedTuple):
    """An event that cannot be taken, and why."""

    place: int
    pointer: str
    code: str
    error: RihlaError


class Ingested(NamedTuple):
    """What became of a request's events."""

    accepted: int
    duplicates: int
    rejected: tuple[Rejected, ...]


class IngestEvents:
    """The use case behind ``POST /v1/events``."""

    def __init__(
        self,
        customers: Customers,
        item_events: ItemEvents,
        serving: Serving,
        clock: Clock,
        *,
        allow_contact_ids: bool = False,
    ) -> None:
        self._customers, self._item_events, self._serving = customers, item_events, serving
        self._clock, self._allow_contact_ids = clock, allow_contact_ids
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    async def __call__(self, events: Sequence[Any]) -> Ingested:
        """Take in some events, those of one customer in one commit.

        Raises
        ------
        StoreError
            The store did not take all of them. Those that it took are duplicates when sent again.
        """
        now = self._clock()
        arrived, rejected = self._read(events, now)
        by_customer: dict[str | None, list[Arrived]] = defaultdict(list)
        for each in arrived:
            by_customer[each.lines[0].customer_id].append(each)
        alone = by_customer.pop(None, [])
        outcomes = await asyncio.gather(
            *(self._of_customer(customer_id or "", group, now) for customer_id, group in by_customer.items()),
            *(self._of_item(each) for each in alone),
            return_exceptions=True,
        )
        if failed := next((outcome for outcome in outcomes if isinstance(outcome, BaseException)), None):
            raise failed
        total = _sum([outcome for outcome in outcomes if isinstance(outcome, Ingested)], rejected)
        _count(total)
        return total

    def _read(self, events: Sequence[Any], now: int) -> tuple[list[Arrived], list[Rejected]]:
        arrived, rejected = [], []
        for index, event in enumerate(events):
            try:
                lines = lines_of(
                    event,
                    received_at=now,
                    source=SOURCE,
                    category_of=self._serving.category_of,
                    allow_contact_ids=self._allow_contact_ids,
                )
            except InputError as error:
                rejected.append(Rejected(index, error.pointer, error.code, error))
            else:
                arrived.append(Arrived(index, lines, event_digest(lines[0].event_id), body_digest(event)))
        return arrived, rejected

    async def _of_item(self, arrived: Arrived) -> Ingested:
        """An event that belongs to no customer."""
        known = await self._item_events.append(arrived.lines, arrived.body, encode_lines(arrived.lines))
        if known is None:
            return Ingested(1, 0, ())
        return Ingested(0, 1, ()) if known == arrived.body else Ingested(0, 0, (_conflict(arrived),))

    async def _of_customer(self, customer_id: str, group: Sequence[Arrived], now: int) -> Ingested:
        """One commit for all events of one customer; other workers may be first, so it may take several tries."""
        async with self._turn(customer_id):
            for attempt in range(TRIES):
                record = await self._customers.load(customer_id, now)
                outcome, change = self._merged(record, group, now)
                if change is None or await self._customers.commit(record, change):
                    return outcome
                await asyncio.sleep(random.uniform(0, BACK_OFF_S * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise StoreContended(f"{TRIES} tries of a commit found a newer version")

    def _merged(self, record: Record, group: Sequence[Arrived], now: int) -> tuple[Ingested, Change | None]:
        """What a group changes: known ids leave, the others merge into the state, in the order given."""
        schema, seen = self._customers.codec.schema, record.seen
        fresh: list[Arrived] = []
        rejected: list[Rejected] = []
        for each in group:
            known = seen.body_of(each.event)
            if each.lines[0].occurred_at <= record.erased_at:
                rejected.append(_erased(each))
            elif known is not None and known != each.body:
                rejected.append(_conflict(each))
            elif known is None and len(seen) >= MAX_SEEN:
                error = TooManyEvents(f"expected at most {MAX_SEEN} events of a customer in 24 hours")
                rejected.append(Rejected(each.place, "", error.code, error))
            elif known is None:
                seen.add(each.event, each.body, now)
                fresh.append(each)
        outcome = Ingested(len(fresh), len(group) - len(fresh) - len(rejected), tuple(rejected))
        if not fresh:
            return outcome, None
        lifted = schema.merge_all(schema.lift(line) for each in fresh for line in each.lines)
        state = schema.merge(record.state, lifted)
        standing = self._customers.journey.stage_of(state, now)
        return outcome, Change(standing, now, "event", state, [encode_lines(each.lines) for each in fresh])

    def _turn(self, customer_id: str) -> Turn:
        return Turn(self._locks, customer_id)


class Turn:
    """A lock a customer within this process, kept only while somebody holds it or waits for it."""

    def __init__(self, locks: dict[str, tuple[asyncio.Lock, int]], customer_id: str) -> None:
        self._locks, self._id = locks, customer_id

    async def __aenter__(self) -> None:
        lock, n = self._locks.get(self._id, (None, 0))
        lock = lock or asyncio.Lock()
        self._locks[self._id] = (lock, n + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._locks[self._id][0].release()
        self._leave()

    def _leave(self) -> None:
        lock, n = self._locks[self._id]
        if n == 1:
            del self._locks[self._id]
        else:
            self._locks[self._id] = (lock, n - 1)


def _erased(arrived: Arrived) -> Rejected:
    error = CustomerErased("expected an event of after the moment at which its customer was erased")
    return Rejected(arrived.place, "/occurred_at", error.code, error)


def _conflict(arrived: Arrived) -> Rejected:
    error = IdConflict("expected the body that came with this event_id before, got another one")
    return Rejected(arrived.place, "/event_id", error.code, error)


def _sum(outcomes: Sequence[Ingested], rejected: Sequence[Rejected]) -> Ingested:
    everything = [*rejected, *(each for outcome in outcomes for each in outcome.rejected)]
    return Ingested(
        sum(outcome.accepted for outcome in outcomes),
        sum(outcome.duplicates for outcome in outcomes),
        tuple(sorted(everything, key=lambda each: each.place)),
    )


def _count(total: Ingested) -> None:
    EVENTS.labels("accepted").inc(total.accepted)
    EVENTS.labels("duplicate").inc(total.duplicates)
    EVENTS.labels("rejected").inc(len(total.rejected))
