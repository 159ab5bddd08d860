"""Links and unlinks of identities: refused where a group would grow too large, written at both ends."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Final, NamedTuple

from features.errors import StoreContended
from features.events import LATE_AFTER_US, MAX_SKEW_US
from features.identity import MAX_GROUP, edge_of, kept_edges, merge_edges
from service.store.customers import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from features.events import Line
    from features.identity import Edge, Edges
    from service.ingest_events import Arrived
    from service.store.customers import Customers
    from service.store.known import Known

TRIES: Final = 8


class OtherEnd(NamedTuple):
    """An edge as the identity at its other end keeps it."""

    customer_id: str
    edge: Edge


class Links:
    """What a link asks for beside the record of the identity that it was told of."""

    def __init__(self, customers: Customers) -> None:
        self._customers = customers

    async def refused(self, known: Known, group: Sequence[Arrived], now: int) -> frozenset[int]:
        """Places of the links that would join more than ``MAX_GROUP`` identities.

        Raises
        ------
        StoreError
        """
        linking = [each for each in group if (end := other_end(each.lines)) is not None and end.edge.is_linked]
        joined, refused = set(known.ids), set()
        for each in linking:
            end = other_end(each.lines)
            others = await self._customers.load(end.customer_id, now) if end else known
            if len(joined | {*others.ids}) > MAX_GROUP:
                refused.add(each.place)
            else:
                joined |= {*others.ids}
        return frozenset(refused)

    async def settle(self, known: Known, events: Iterable[Sequence[Line]], now: int) -> None:
        """Write the other ends of the edges among some events, and have whoever they move looked at again.

        Of an event that came before it does no harm, and repairs what a lost store left half done.

        Raises
        ------
        StoreError
        """
        ends = [_as_stored(end, known) for lines in events if (end := other_end(lines)) is not None]
        for end in ends:
            others = await self._write(end, known.asked.customer_id, now)
            await self._customers.look_again([*known.members, *others.members], now)
        if not ends and known.head is not known.asked:
            await self._customers.look_again([known.head], now)

    async def _write(self, end: OtherEnd, customer_id: str, now: int) -> Known:
        """Put an edge into the record at its other end; the customer there, before it."""
        for _ in range(TRIES):
            known = await self._customers.load(end.customer_id, now)
            record = known.asked
            edges = merge_edges(record.edges, {customer_id: end.edge})
            if edges == record.edges or end.edge.occurred_at <= (record.erased_at or 0):
                return known
            standing = record.standing or self._customers.journey.stage_of(known.state, now)
            is_listed = known.head is record and known.is_personalised
            change = Change(standing, now, "event", edges=kept(edges, now), is_listed=is_listed)
            if await self._customers.commit(record, change):
                return known
            await asyncio.sleep(0)
        raise StoreContended(f"{TRIES} tries of a commit found a newer version")


def _as_stored(end: OtherEnd, known: Known) -> OtherEnd:
    """The edge under the time that it was first told with, where the event came before."""
    before = known.asked.edges.get(end.customer_id)
    return end._replace(edge=before) if before is not None and before.event_id == end.edge.event_id else end


def other_end(lines: Sequence[Line]) -> OtherEnd | None:
    """The other end of the edge that an event tells of, where it is a link or an unlink that counts."""
    found = edge_of(lines[0])
    return None if found is None else OtherEnd(*found)


def edges_after(edges: Mapping[str, Edge], events: Iterable[Sequence[Line]], now: int) -> Edges | None:
    """Edges of an identity after some events of its own; None where they do not change."""
    told: list[Mapping[str, Edge]] = [dict([found]) for lines in events if (found := edge_of(lines[0])) is not None]
    return kept(functools.reduce(merge_edges, told, edges), now) if told else None


def kept(edges: Mapping[str, Edge], now: int) -> Edges:
    """Edges as they are stored: an unlink is kept while a link from before it could still arrive."""
    return kept_edges(edges, now - LATE_AFTER_US - MAX_SKEW_US)
