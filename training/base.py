"""Base states: what is left of a customer's events when those are too old to be kept.

``DIR/base/YYYY-MM-DD.parquet`` has one row an identity, of everything before that day; the newest file
counts. Whoever reads the log skips the days before it, so it does not matter when their files go. A base
of another feature schema is not read, as the online store does not read such states either.
"""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from features.consent import NOTHING_SAID, Consents
from features.events import DAY_US
from features.identity import Edges, merge_edges
from features.moments import of_datetime
from features.past import Past
from features.state_table import StateTable
from training.erased import erased_among
from training.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from features.state import Schema
    from features.state_table import LongVector

FOLDER: Final = "base"
SCHEMA_HASH: Final = b"rihla.schema"
MOMENT: Final = pa.timestamp("us", "UTC")
COLUMNS: Final = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("until", MOMENT, nullable=False),
        pa.field("state", pa.binary(), nullable=False),
        pa.field("consents", pa.binary(), nullable=False),
        pa.field("edges", pa.binary(), nullable=False),
    ]
)
ROWS_AT_ONCE: Final = 10_000
_encode = msgspec.msgpack.Encoder().encode
_decode_consents = msgspec.msgpack.Decoder(Consents).decode
_decode_edges = msgspec.msgpack.Decoder(Edges).decode


class Base(NamedTuple):
    """The base of a data directory: of what happened strictly before ``until`` (microseconds), by identity."""

    until: int
    pasts: Mapping[str, Past]


class Told(NamedTuple):
    """What was said before the base's end of links and of consent, by identity."""

    edges: Mapping[str, Edges]
    consents: Mapping[str, Consents]


NO_BASE: Final = Base(0, {})


def base_day(root: Path) -> str | None:
    """Name of the first day that the base does not hold; None where there is no base."""
    return max((path.stem for path in (root / FOLDER).glob("[0-9]*-[0-9]*-[0-9]*.parquet")), default=None)


def read_base(root: Path, schema: Schema) -> Base:
    """The base, without customers who were erased since."""
    day = base_day(root)
    if day is None:
        return NO_BASE
    file = pq.ParquetFile(root / FOLDER / f"{day}.parquet")
    until = start_of(day)
    if (file.schema_arrow.metadata or {}).get(SCHEMA_HASH) != schema.hash.encode():
        return Base(until, {})
    pasts: dict[str, Past] = {}
    for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
        table = pa.Table.from_batches([batch])
        gone = _erased_since(table["customer_id"], until, root)
        pasts |= {past.customer_id: past for past in _pasts(table, schema) if past.customer_id not in gone}
    return Base(until, pasts)


def under_their_heads(base: Base, heads: Mapping[str, str], schema: Schema) -> Base:
    """The base by customer: what is left of all of their identities, under the one that stands for them."""
    pasts: dict[str, Past] = {}
    for customer_id, past in base.pasts.items():
        head = heads.get(customer_id, customer_id)
        pasts[head] = merged(pasts[head], past, schema) if head in pasts else past
    return Base(base.until, pasts)


def read_told(root: Path) -> Told:
    """What the base has of links and consent, whatever schema its states are of."""
    day = base_day(root)
    if day is None:
        return Told({}, {})
    table = pq.read_table(root / FOLDER / f"{day}.parquet", columns=["customer_id", "consents", "edges"])
    gone = _erased_since(table["customer_id"], start_of(day), root)
    rows = [row for row in table.to_pylist() if row["customer_id"] not in gone]
    edges = {row["customer_id"]: _decode_edges(row["edges"]) for row in rows}
    consents = {row["customer_id"]: _decode_consents(row["consents"]) for row in rows}
    return Told({each: found for each, found in edges.items() if found}, consents)


def write_base(root: Path, schema: Schema, day: str, pasts: Iterable[Past]) -> int:
    """Write the base of everything before a day; how many identities. It appears whole or not at all."""
    form = COLUMNS.with_metadata({SCHEMA_HASH: schema.hash})
    n = 0
    with (
        replace_file(root / FOLDER / f"{day}.parquet") as file,
        pq.ParquetWriter(file, form, compression="zstd") as out,
    ):
        for some in _batched(pasts):
            out.write_table(_table(some, schema, start_of(day), form))
            n += len(some)
    return n


def drop_before(root: Path, day: str) -> int:
    """Remove what a base holds: folders of earlier days and earlier bases; how many days."""
    folders = [path for path in (root / "events").glob("[0-9]*-[0-9]*-[0-9]*") if path.name < day]
    for folder in folders:
        shutil.rmtree(folder)
    for path in (root / FOLDER).glob("[0-9]*-[0-9]*-[0-9]*.parquet"):
        if path.stem < day:
            path.unlink()
    return len(folders)


def merged(a: Past, b: Past, schema: Schema) -> Past:
    """What two stretches of one identity's time say together."""
    edges = merge_edges(a.edges, b.edges)
    return Past(a.customer_id, schema.merge(a.state, b.state), a.consents.merge(b.consents), edges, (*a.seen, *b.seen))


def with_base(table: StateTable, customer_ids: Sequence[str], as_of: LongVector, base: Base) -> StateTable:
    """States of cases with what the base holds of their customers; of a moment before the base's end, without.

    Parameters
    ----------
    table : StateTable
        Row ``i`` is of ``customer_ids[i]`` as of ``as_of[i]`` (microseconds), from the lines since the base.
    """
    has_base = [at >= base.until and each in base.pasts for each, at in zip(customer_ids, as_of.tolist(), strict=True)]
    if not any(has_base):
        return table
    schema = table.schema
    states = [table.state(row) for row in range(len(table))]
    both = zip(customer_ids, states, has_base, strict=True)
    return StateTable.from_states(
        schema, [schema.merge(base.pasts[each].state, state) if has else state for each, state, has in both]
    )


def start_of(day: str) -> int:
    """First microsecond of a day by its folder's name."""
    found = date.fromisoformat(day)
    return of_datetime(datetime(found.year, found.month, found.day, tzinfo=UTC)) // DAY_US * DAY_US


def _erased_since(customer_ids: pa.ChunkedArray, until: int, root: Path) -> set[str]:
    erased = erased_among(customer_ids, root)
    at = erased["erased_at"].cast(pa.int64()).to_pylist()
    return {each for each, moment in zip(erased["customer_id"].to_pylist(), at, strict=True) if moment >= until}


def _table(pasts: Sequence[Past], schema: Schema, until: int, form: pa.Schema) -> pa.Table:
    columns = [
        [past.customer_id for past in pasts],
        [until] * len(pasts),
        [schema.encode(past.state) for past in pasts],
        [_encode(past.consents) for past in pasts],
        [_encode(past.edges) for past in pasts],
    ]
    return pa.table(columns, form)


def _pasts(table: pa.Table, schema: Schema) -> Iterator[Past]:
    for row in table.to_pylist():
        consents = _decode_consents(row["consents"])
        said = NOTHING_SAID if consents == NOTHING_SAID else consents
        yield Past(row["customer_id"], schema.decode(row["state"]), said, _decode_edges(row["edges"]), ())


def _batched(pasts: Iterable[Past]) -> Iterator[list[Past]]:
    some: list[Past] = []
    for past in pasts:
        some.append(past)
        if len(some) == ROWS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some
