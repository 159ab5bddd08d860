"""Who changed stage, oldest first, at least once: for mail that is triggered by it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from features.consent import PURPOSES
from service.clock import moment_of
from service.cursors import of_cursor, to_cursor, wrong_cursor
from service.problems import CursorExpired
from service.store import keys
from service.store.customers import KEEP_CHANGES_S
from service.store.items import START

if TYPE_CHECKING:
    from service.models import ChangesQuery
    from service.store.customers import Customers
    from service.store.stage_changes import ChangeEntry, StageChanges

Position = tuple[int, int]
_NOWHERE: Final = (0, 0)


class ChangesPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a reader stands in each partition's stream, and up to when everything was told (milliseconds)."""

    told_until: int
    positions: tuple[Position, ...]


class Found(NamedTuple):
    """One change and where it was found."""

    position: Position
    partition: int
    entry: ChangeEntry


class ListStageChanges:
    """The use case behind ``GET /v1/stage-changes``.

    A cursor holds positions in streams that survive restarts. Changes of one customer come in their order,
    those of different customers by the store's clock.
    """

    def __init__(self, customers: Customers, changes: StageChanges) -> None:
        self._customers, self._changes = customers, changes

    async def __call__(self, query: ChangesQuery) -> dict[str, Any]:
        """One page. ``next_cursor`` always goes on from here, also after an empty page.

        Raises
        ------
        InvalidRequest
            Not a cursor of this list.
        CursorExpired
            Changes after the cursor are not kept any more.
        StoreUnavailable
        """
        now_ms = time.time_ns() // 1_000_000
        place = _begin(query.cursor, now_ms)
        places = {partition: _text(place.positions[partition]) for partition in keys.PARTITIONS}
        found = _in_order(await self._changes.after(places, query.limit), query.limit)
        rows = await asyncio.gather(*(self._row(each) for each in found))
        told = [row for row in rows if row is not None]
        return {"changes": told, "next_cursor": to_cursor(_after(place, found, query.limit, now_ms))}

    async def _row(self, found: Found) -> dict[str, Any] | None:
        """One change; None for a customer who was erased since."""
        body = found.entry.body
        known = await self._customers.load(body["customer_id"], body["at"])
        if body["at"] <= (known.erased_at or 0):
            return None
        times = {name: None if body[name] is None else moment_of(body[name]) for name in ("since", "at")}
        consent = {purpose: known.allows(purpose) for purpose in PURPOSES}
        return {"id": f"{found.partition:02d}-{found.entry.id}", **body, **times, "consent": consent}


def _begin(cursor: str | None, now_ms: int) -> ChangesPlace:
    if cursor is None:
        return ChangesPlace(now_ms, (_NOWHERE,) * len(keys.PARTITIONS))
    place = of_cursor(cursor, ChangesPlace)
    if len(place.positions) != len(keys.PARTITIONS):
        raise wrong_cursor()
    if place.told_until < now_ms - KEEP_CHANGES_S * 1_000:
        raise CursorExpired("expected a cursor of the last 7 days; changes were missed, please begin without one")
    return place


def _in_order(by_partition: dict[int, list[ChangeEntry]], most: int) -> list[Found]:
    """The earliest changes; none beyond the end of a partition of which more may come."""
    found = [
        Found(_position(entry.id), partition, entry) for partition, entries in by_partition.items() for entry in entries
    ]
    ends = [_position(entries[-1].id) for entries in by_partition.values() if len(entries) == most]
    last = min(ends, default=None)
    kept = [each for each in found if last is None or each.position <= last]
    return sorted(kept, key=lambda each: each[:2])[:most]


def _after(place: ChangesPlace, found: list[Found], most: int, now_ms: int) -> ChangesPlace:
    positions = list(place.positions)
    for each in found:
        positions[each.partition] = each.position
    told_until = found[-1].position[0] if len(found) == most else now_ms
    return ChangesPlace(told_until, tuple(positions))


def _position(entry_id: str) -> Position:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


def _text(position: Position) -> str:
    return START if position == _NOWHERE else f"{position[0]}-{position[1]}"
