"""Everything that is known of a customer, as one JSON document that is written as it is read.

Streams come before files: what the drainer moves meanwhile is met twice rather than never, and told once.
The files are read in threads, a few thousand rows at a time, so neither memory nor the loop feels them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from features.events import Line
from service.answers import encode
from service.clock import moment_of, wall_clock
from service.decisions import decode_decision
from service.export_parts import consent_part, exposure_part, keyed_part, links_part
from service.problems import NotFound
from service.store import keys
from service.store.clients import translated
from service.store.stage_changes import StageChanges
from service.store.waiting import waiting_entries

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from redis.asyncio import Redis

    from service.customers import DescribeCustomer
    from service.serving import Serving
    from service.store.customers import Customers
    from service.store.known import Known

ROWS_AT_ONCE: Final = 8_192
_decode_lines: Final = msgspec.msgpack.Decoder(tuple[Line, ...]).decode


class Whose(NamedTuple):
    """The identities of an export, each with when it was erased (microseconds): what is from before is not theirs."""

    erased_at: Mapping[str, int]

    def has(self, customer_id: str | None, at: int) -> bool:
        """Whether something of a moment is theirs."""
        return customer_id is not None and at > self.erased_at.get(customer_id, at)


class ExportCustomer:
    """The use case behind ``GET /v1/customers/{id}/export``."""

    def __init__(
        self,
        customers: Customers,
        describe: DescribeCustomer,
        serving: Serving,
        client: Redis,
        data: Path,
    ) -> None:
        self._customers, self._describe, self._serving = customers, describe, serving
        self._client, self._data = client, data

    async def __call__(self, customer_id: str) -> AsyncIterator[bytes]:
        """The document in pieces. What is asked of the store for its head is asked before the first.

        Raises
        ------
        StoreUnavailable
        """
        now = wall_clock()
        known = await self._customers.load(customer_id, now)
        head = {
            "customer_id": customer_id,
            "exported_at": moment_of(now),
            "identities": known.ids,
            "described": await self._described(customer_id),
            "records": [await self._record(each) for each in known.members],
        }
        return self._document(head, known)

    async def _described(self, customer_id: str) -> dict[str, Any] | None:
        try:
            return await self._describe(customer_id)
        except NotFound:
            return None

    async def _record(self, record: Any) -> dict[str, Any]:
        with translated():
            kept: Any = await self._client.hgetall(keys.keyed_decisions(record.keys))
        return {
            "customer_id": record.customer_id,
            "consent": consent_part(record),
            "links": links_part(record),
            "exposure": exposure_part(record, self._serving),
            "keyed_decisions": keyed_part(kept, self._serving),
            "state": msgspec.to_builtins(record.state) if record.raw_state is not None else None,
        }

    async def _document(self, head: dict[str, Any], known: Known) -> AsyncIterator[bytes]:
        whose = Whose({each.customer_id: each.erased_at or 0 for each in known.members})
        partitions = sorted({each.keys.partition for each in known.members})
        yield encode(head)[:-1]
        for name, rows in (
            ("stage_changes", self._changes(whose, partitions)),
            ("events", self._events(whose, partitions)),
            ("decisions", self._decisions(whose, partitions)),
        ):
            before = b',"' + name.encode() + b'":['
            async for row in rows:
                yield before + encode(row)
                before = b","
            yield (before if before != b"," else b"") + b"]"
        yield b"}"

    async def _changes(self, whose: Whose, partitions: list[int]) -> AsyncIterator[dict[str, Any]]:
        changes = StageChanges(self._client)
        for partition in partitions:
            place = "0-0"
            while found := (await changes.after({partition: place}, ROWS_AT_ONCE))[partition]:
                place = found[-1].id
                for entry in found:
                    if whose.has(entry.body["customer_id"], entry.body["at"]):
                        yield entry.body

    async def _events(self, whose: Whose, partitions: list[int]) -> AsyncIterator[dict[str, Any]]:
        told: set[tuple[str, int]] = set()
        async for line in self._waiting(partitions, "e", _decode_lines):
            if whose.has(line.customer_id, line.occurred_at):
                told.add((line.event_id, line.line_no))
                times = {name: moment_of(getattr(line, name)) for name in ("occurred_at", "received_at")}
                yield msgspec.structs.asdict(line) | times
        async for row in self._logged("events", whose):
            if (row["event_id"], row["line_no"]) not in told:
                yield row

    async def _decisions(self, whose: Whose, partitions: list[int]) -> AsyncIterator[dict[str, Any]]:
        told: set[str] = set()
        async for each in self._waiting(partitions, "d", lambda raw: (decode_decision(raw),)):
            if whose.has(each.customer_id, each.decided_at):
                told.add(each.slate_id)
                slots = [slot._asdict() for slot in each.slots]
                yield msgspec.structs.asdict(each) | {"decided_at": moment_of(each.decided_at), "slots": slots}
        async for row in self._logged("decisions", whose):
            if row["slate_id"] not in told:
                told.add(row["slate_id"])
                yield row

    async def _waiting(self, partitions: list[int], kind: str, decode: Any) -> AsyncIterator[Any]:
        for partition in partitions:
            async for entry in waiting_entries(self._client, partition):
                if entry.kind == kind:
                    for each in decode(entry.body):
                        yield each

    async def _logged(self, kind: str, whose: Whose) -> AsyncIterator[dict[str, Any]]:
        # Only an export needs Arrow in a worker, whose memory it would take from the first request on.
        from service.log_rows import rows_of

        rows = await asyncio.to_thread(rows_of, self._data, kind, tuple(whose.erased_at))
        while some := await asyncio.to_thread(next, rows, None):
            for row, at in some:
                if whose.has(row["customer_id"], at):
                    yield row
