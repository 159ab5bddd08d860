"""Taking in events: read, drop what is known, merge, commit. A 202 is given only for what the store holds.

Writes fail closed: nothing is accepted while the store is away.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from features.consent import NOTHING_SAID, consents_said
from features.errors import InputError, RihlaError, StoreContended
from features.identity import MAX_GROUP
from features.ingest import lines_of
from service.links import edges_after
from service.metrics import EVENTS
from service.problems import CustomerErased, GroupFull, IdConflict, TooManyEvents
from service.signs import after_events
from service.store.codec import ANY_BODY, MAX_SEEN, body_digest, event_digest
from service.store.customers import Change
from service.turns import BACK_OFF_S, TRIES, Turns

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from features.consent import Consents, Defaults
    from features.events import Line
    from service.clock import Clock
    from service.links import Links
    from service.serving import Serving
    from service.store.customers import Customers
    from service.store.item_events import ItemEvents
    from service.store.known import Known

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
        links: Links,
        serving: Serving,
        clock: Clock,
        *,
        store_clock: Clock = lambda: 0,
        allow_contact_ids: bool = False,
    ) -> None:
        self._customers, self._item_events, self._links, self._serving = customers, item_events, links, serving
        self._clock, self._store_clock, self._allow_contact_ids = clock, store_clock, allow_contact_ids
        self._turns = Turns()

    async def __call__(self, events: Sequence[Any], *, may_lack_time: bool = False) -> Ingested:
        """Take in some events, those of one customer in one commit; ``may_lack_time`` dates those without one now.

        Raises
        ------
        StoreError
            The store did not take all of them. Those that it took are duplicates when sent again.
        """
        now = self._clock()
        arrived, rejected = self._read(events, now, {"occurred_at": now} if may_lack_time else {})
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

    def _read(self, events: Sequence[Any], now: int, assumed: dict[str, Any]) -> tuple[list[Arrived], list[Rejected]]:
        arrived, rejected, latest = [], [], self._store_clock()
        for index, event in enumerate(events):
            try:
                lines = lines_of(
                    assumed | event if assumed else event,
                    received_at=now,
                    source=SOURCE,
                    category_of=self._serving.category_of,
                    allow_contact_ids=self._allow_contact_ids,
                    latest_now=latest,
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
        """One commit for all events of one customer, then the other ends of what links them to somebody."""
        async with self._turns.of(customer_id):
            outcome, known = await self._committed(customer_id, group, now)
        refused = {each.place for each in outcome.rejected}
        await self._links.settle(known, [each.lines for each in group if each.place not in refused], now)
        return outcome

    async def _committed(self, customer_id: str, group: Sequence[Arrived], now: int) -> tuple[Ingested, Known]:
        """What became of a group, and the customer before it; other workers may be first, so it may take several tries.

        Raises
        ------
        StoreError
        """
        for attempt in range(TRIES):
            known = await self._customers.load(customer_id, now)
            outcome, fresh = self._told_apart(known, group, await self._links.refused(known, group, now), now)
            if not fresh or await self._customers.commit(known.asked, self._change(known, fresh, now)):
                return outcome, known
            await asyncio.sleep(random.uniform(0, BACK_OFF_S * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise StoreContended(f"{TRIES} tries of a commit found a newer version")

    def _told_apart(
        self, known: Known, group: Sequence[Arrived], refused: Container[int], now: int
    ) -> tuple[Ingested, list[Arrived]]:
        """The events that are new; they enter the ids that count as known."""
        seen = known.asked.seen
        fresh: list[Arrived] = []
        rejected: list[Rejected] = []
        for each in group:
            before = seen.body_of(each.event)
            if each.lines[0].occurred_at <= (known.erased_at or 0):
                rejected.append(_erased(each))
            elif before not in {None, ANY_BODY, each.body}:
                rejected.append(_conflict(each))
            elif before is None and len(seen) >= MAX_SEEN:
                error = TooManyEvents(f"expected at most {MAX_SEEN} events of a customer in 24 hours")
                rejected.append(Rejected(each.place, "", error.code, error))
            elif before is None and each.place in refused:
                rejected.append(_too_many_identities(each))
            elif before is None:
                seen.add(each.event, each.body, now)
                fresh.append(each)
        return Ingested(len(fresh), len(group) - len(fresh) - len(rejected), tuple(rejected)), fresh

    def _change(self, known: Known, fresh: Sequence[Arrived], now: int) -> Change:
        """What new events change: they merge into the state, each under the consent that held when it happened."""
        schema, record = self._customers.codec.schema, known.asked
        said = consents_said(line for each in fresh for line in each.lines)
        consents = known.consents.merge(said)
        events = [stamped(each.lines, consents, self._customers.defaults) for each in fresh]
        events, exposure = after_events(known, events, now)
        state = schema.with_lines(record.state, (line for lines in events for line in lines))
        return Change(
            standing=self._customers.journey.stage_of(known.with_state(state), now),
            now=now,
            cause="event",
            state=state,
            events=[encode_lines(lines) for lines in events],
            consents=None if said is NOTHING_SAID else record.consents.merge(said),
            edges=edges_after(record.edges, events, now),
            exposure=exposure,
            is_listed=known.head is record and consents.allows("personalisation", self._customers.defaults),
        )


def _erased(arrived: Arrived) -> Rejected:
    error = CustomerErased("expected an event of after the moment at which its customer was erased")
    return Rejected(arrived.place, "/occurred_at", error.code, error)


def _conflict(arrived: Arrived) -> Rejected:
    error = IdConflict("expected the body that came with this event_id before, got another one")
    return Rejected(arrived.place, "/event_id", error.code, error)


def _too_many_identities(arrived: Arrived) -> Rejected:
    error = GroupFull(f"expected a link within a group of at most {MAX_GROUP} identities; unlink one first")
    return Rejected(arrived.place, "/properties/from", error.code, error)


def stamped(lines: tuple[Line, ...], consents: Consents, defaults: Defaults) -> tuple[Line, ...]:
    """Lines with the consent that held when they happened, where they do not state it themselves."""
    if lines[0].consent or not (bits := consents.bits_at(lines[0].occurred_at, defaults)):
        return lines
    return tuple(msgspec.structs.replace(line, consent=bits) for line in lines)


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
