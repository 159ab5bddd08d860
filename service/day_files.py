"""Events and decisions as Parquet, a folder a UTC day, in the form that training reads."""

from __future__ import annotations

import os
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.catalog import Item
from features.events import COLUMNS, DAY_US, TIMESTAMP
from features.moments import EPOCH
from service.current import sync_directory
from service.decisions import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from features.events import Line

ARROW: Final = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    TIMESTAMP: pa.timestamp("us", "UTC"),
}
EVENTS: Final = pa.schema([pa.field(c.name, ARROW[c.arrow], nullable=c.nullable) for c in COLUMNS])
_SLOT: Final = pa.struct(
    [("item_key", pa.int64()), ("score", pa.float64()), ("source", pa.string()), ("propensity", pa.float64())]
)
_MOMENT: Final = ARROW[TIMESTAMP]
DECISIONS: Final = pa.schema(
    [
        pa.field("slate_id", pa.string(), nullable=False),
        ("customer_id", pa.string()),
        pa.field("decided_at", _MOMENT, nullable=False),
        *((name, pa.string()) for name in ("placement", "channel", "stage", "phase")),
        ("at_risk", pa.bool_()),
        *((name, pa.string()) for name in ("definition_version", "policy", "model", "model_version", "model_digest")),
        ("seed", pa.int64()),
        ("level", pa.int32()),
        *((name, pa.string()) for name in ("reason", "strategy")),
        ("slots", pa.list_(_SLOT)),
        ("personalised", pa.bool_()),
    ]
)
"""A row a slate, the fields of :class:`service.decisions.Decision`."""
CATALOG: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        *((name, pa.string()) for name in ("title", "text", "category")),
        ("price_minor", pa.int64()),
        ("currency", pa.string()),
        pa.field("available", pa.bool_(), nullable=False),
        ("locale", pa.string()),
        ("published_at", _MOMENT),
        pa.field("attributes", pa.string(), nullable=False),
    ]
)


def write_events(data: Path, name: str, lines: Iterable[Line]) -> None:
    """Lines into ``events/<day>/<name>.parquet`` by the day they happened, replacing files of that name."""
    for day, rows in _by_day(lines, lambda line: line.day).items():
        columns = {c.name: [getattr(row, c.name) for row in rows] for c in COLUMNS}
        write_parquet(data / "events" / _folder(day) / f"{name}.parquet", pa.table(columns, EVENTS))


def write_decisions(data: Path, name: str, decisions: Iterable[Decision]) -> None:
    """Records into ``decisions/<day>/<name>.parquet`` by the day they were made, replacing files of that name."""
    for day, rows in _by_day(decisions, lambda row: row.decided_at // DAY_US).items():
        columns = {field: [getattr(row, field) for row in rows] for field in DECISIONS.names if field != "slots"}
        columns["slots"] = [[slot._asdict() for slot in row.slots] for row in rows]
        write_parquet(data / "decisions" / _folder(day) / f"{name}.parquet", pa.table(columns, DECISIONS))


def merge_catalog(data: Path, items: Sequence[Item]) -> None:
    """Put items into ``catalog.parquet``: the newest of each id stays, rows by id."""
    path = data / "catalog.parquet"
    rows: dict[str, dict[str, Any]] = {}
    if path.exists():
        rows = {row["item_id"]: row for row in pq.read_table(path, schema=CATALOG, partitioning=None).to_pylist()}
    rows |= {item.item_id: {name: getattr(item, name) for name in CATALOG.names} for item in items}
    ordered = [rows[item_id] for item_id in sorted(rows)]
    write_parquet(path, pa.Table.from_pylist(ordered, CATALOG))


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write beside, flush to disk, rename, flush the folder: whole or not there, whatever crashes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_directory(path.parent)
    sync_directory(path.parent.parent)


def _by_day(rows: Iterable[Any], day_of: Callable[[Any], int]) -> dict[int, list[Any]]:
    days: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        days[day_of(row)].append(row)
    return days


def _folder(day: int) -> str:
    return (EPOCH + timedelta(days=day)).date().isoformat()
