"""The log as the online store should know it: the same GROUP BY that training reads, one identity at a time."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, Final

import duckdb
import ibis
import numpy as np
import pyarrow as pa

from features.consent import NOTHING_SAID, Consents, consents_of
from features.events import EventType
from features.identity import Edges, edge_of, merge_edges
from features.moments import MAX_US, to_datetime
from features.past import Past
from training.base import merged, read_base
from training.erased import erased_among
from training.log import EventLog, lines_of
from training.relational import state_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import ibis.expr.types as ir

    from features.state import Schema

AT_ONCE: Final = 100_000
"""Identities whose states are in memory at a time."""
TELLING: Final = (EventType.CONSENT, EventType.MESSAGE_UNSUBSCRIBE, EventType.LINK, EventType.UNLINK)
Seen = dict[str, list[tuple[str, int]]]


def pasts(
    root: Path, schema: Schema, seen_since: int, at_once: int = AT_ONCE, until: int | None = None
) -> Iterator[Past]:
    """Every identity of a data directory, by id, base states included; erased customers are left out.

    Parameters
    ----------
    seen_since : int
        Ids of events received from then on are told, microseconds.
    until : int, optional
        Lines of before that moment alone, microseconds; not before the end of the base.

    Raises
    ------
    InvalidData
        A file of another shape than the log's.
    """
    log, base = EventLog(root), read_base(root, schema)
    if log.is_empty:
        yield from (base.pasts[each] for each in sorted(base.pasts))
        return
    with closing(duckdb.connect()) as connection:
        backend = ibis.duckdb.from_connection(connection)
        lines = backend.create_table("lines", log.lines(backend, until=until))
        consents, edges = _told(lines, root)
        seen = _seen(lines, seen_since)
        ids = sorted({*_ids(lines), *consents, *edges, *base.pasts})
        for first in range(0, len(ids), at_once):
            chosen = ids[first : first + at_once]
            table = state_table(lines, _cases(chosen), schema)
            for row, each in enumerate(chosen):
                said, ends = consents.get(each, NOTHING_SAID), edges.get(each, {})
                past = Past(each, table.state(row), said, ends, tuple(seen.get(each, ())))
                yield merged(base.pasts[each], past, schema) if each in base.pasts else past


def customers_since(root: Path, at: int) -> set[str]:
    """Customers with lines at or after a moment, microseconds."""
    with closing(duckdb.connect()) as connection:
        lines = EventLog(root).lines(ibis.duckdb.from_connection(connection))
        return set(_ids(lines.filter(lines.occurred_at >= ibis.literal(to_datetime(at)))))


def _cases(customer_ids: Sequence[str]) -> ir.Table:
    """One case an identity, after everything that happened."""
    at = pa.array(np.full(len(customer_ids), MAX_US, np.int64)).cast(pa.timestamp("us", "UTC"))
    rows = {"case_idx": pa.array(range(len(customer_ids)), pa.int64()), "customer_id": pa.array(customer_ids)}
    return ibis.memtable(pa.table({**rows, "as_of": at}))


def _ids(lines: ir.Table) -> list[str]:
    known = lines.filter(lines.customer_id.notnull()).select("customer_id").distinct().to_pyarrow()
    ids: list[str] = known["customer_id"].to_pylist()
    return ids


def _told(lines: ir.Table, root: Path) -> tuple[dict[str, Consents], dict[str, Edges]]:
    """What was said of consent, and of links at both of their ends."""
    telling = lines.filter(lines.type.isin([each.value for each in TELLING]), lines.customer_id.notnull())
    found = list(lines_of(telling.order_by("occurred_at", "event_id", "line_no").to_pyarrow()))
    erased_at = _erased_at([end[0] for line in found if (end := edge_of(line)) is not None], root)
    consents: dict[str, Consents] = {}
    edges: dict[str, Edges] = defaultdict(dict)
    for line in found:
        one = line.customer_id or ""
        if (said := consents_of(line)) is not NOTHING_SAID:
            consents[one] = consents.get(one, NOTHING_SAID).merge(said)
        if (end := edge_of(line)) is not None:
            edges[one] = merge_edges(edges[one], {end[0]: end[1]})
            if line.occurred_at > erased_at.get(end[0], 0):
                edges[end[0]] = merge_edges(edges[end[0]], {one: end[1]})
    return consents, edges


def _erased_at(customer_ids: list[str], root: Path) -> dict[str, int]:
    erased = erased_among(pa.chunked_array([pa.array(sorted(set(customer_ids)), pa.string())]), root)
    return dict(zip(erased["customer_id"].to_pylist(), erased["erased_at"].cast(pa.int64()).to_pylist(), strict=True))


def _seen(lines: ir.Table, since: int) -> Seen:
    recent = lines.filter(lines.customer_id.notnull(), lines.line_no == 0)
    recent = recent.filter(recent.received_at >= ibis.literal(to_datetime(since)))
    table = recent.select("customer_id", "event_id", "received_at").order_by("received_at", "event_id").to_pyarrow()
    seen: Seen = defaultdict(list)
    columns = (table["customer_id"], table["event_id"], table["received_at"].cast(pa.int64()))
    for customer_id, event_id, at in zip(*(column.to_pylist() for column in columns), strict=True):
        seen[customer_id].append((event_id, at))
    return seen
