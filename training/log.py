"""The event log and the catalog on disk: Parquet, a folder a UTC day of what happened.

``DIR/events/YYYY-MM-DD/<name>.parquet`` has the columns of :data:`features.events.COLUMNS`,
``DIR/catalog.parquet`` a row an item. Files are written beside their place and renamed into it, so a
reader sees a whole file or none, and writing the same name again replaces instead of doubling.
"""

from __future__ import annotations

from datetime import date, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.catalog import Item
from features.errors import InvalidData
from features.events import COLUMNS, DAY_US, TIMESTAMP, Line
from features.moments import to_datetime
from features.rebuilt import REBUILT, read_rebuilt_at
from training.base import base_day
from training.erased import erased_paths, without_erased
from training.files import check_schema, metadata, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import ibis

ARROW: Final = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    TIMESTAMP: pa.timestamp("us", "UTC"),
}
SCHEMA: Final = pa.schema([pa.field(c.name, ARROW[c.arrow], nullable=c.nullable) for c in COLUMNS])
CATALOG_SCHEMA: Final = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        ("title", pa.string()),
        ("text", pa.string()),
        ("category", pa.string()),
        ("price_minor", pa.int64()),
        ("currency", pa.string()),
        pa.field("available", pa.bool_(), nullable=False),
        ("locale", pa.string()),
        ("published_at", pa.timestamp("us", "UTC")),
        pa.field("attributes", pa.string(), nullable=False),
    ]
)
MERGED: Final = "merged-"
REPLACES: Final = b"rihla.replaces"
"""A file that the service merged is called so, and its schema has the names of those that it replaces, as JSON."""
_EPOCH_DAY: Final = date(1970, 1, 1)


class EventLog:
    """The events under one data directory.

    Parameters
    ----------
    root : Path
        The data directory; need not exist before the first :meth:`write`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def open(cls, root: Path) -> EventLog:
        """The log of a directory that holds events.

        Raises
        ------
        InvalidData
            No such directory, no events in it, or a file of another shape; the message names it.
        """
        log = cls(root)
        if not root.is_dir():
            raise InvalidData(f"{root}: expected a data directory, got {'a file' if root.exists() else 'nothing'}")
        if log.is_empty:
            raise InvalidData(f"{root}: expected a data directory with events/YYYY-MM-DD/*.parquet, got no events")
        for path in log.paths():
            check_schema(path, SCHEMA)
        return log

    def write(self, table: pa.Table, name: str) -> tuple[Path, ...]:
        """Write lines into the files ``name.parquet`` of their days, replacing those; the paths written.

        Parameters
        ----------
        table : pa.Table
            Columns of :data:`SCHEMA` in any order. Rows of one day keep their order.

        Raises
        ------
        InvalidData
            A column is missing or has nulls it may not have, ``day`` is not the UTC day of
            ``occurred_at``, or two item ids share a key.
        """
        lines = conform(table)
        refuse_collisions(lines)
        lines = lines.take(pc.sort_indices(lines, [("day", "ascending")]))
        return tuple(self._write_day(*part, name) for part in _by_day(lines))

    def paths(self, until: int | None = None) -> tuple[Path, ...]:
        """Files that can hold events strictly before ``until`` (microseconds), by day and name; no replaced ones."""
        last = None if until is None else day_folder((until - 1) // DAY_US)
        found = (self.root / "events").glob("[0-9]*-[0-9]*-[0-9]*/[!.]*.parquet")
        first = base_day(self.root) or ""
        days = (path for path in found if first <= path.parent.name and (last is None or path.parent.name <= last))
        return counted_once(sorted(days))

    @property
    def is_empty(self) -> bool:
        """Whether there is no file of events."""
        return not self.paths()

    @property
    def n_rows(self) -> int:
        """Number of lines."""
        return sum(metadata(path).num_rows for path in self.paths())

    def time_range(self) -> tuple[int, int] | None:
        """First and last ``occurred_at``, microseconds; None without events."""
        bounds = [bound for path in self.paths() for bound in _bounds(metadata(path))]
        return (min(bounds), max(bounds)) if bounds else None

    def digest(self, until: int | None = None) -> str:
        """Hex digest of what a job with this cut-off reads: equal files and cut-off, equal digest.

        The whole folder of the day of ``until`` counts, and who was erased.
        """
        content = blake2b(repr(until).encode(), digest_size=16)
        catalog = self.root / "catalog.parquet"
        beside = (catalog, *erased_paths(self.root), self.root / REBUILT)
        for path in (*self.paths(until), *(path for path in beside if path.is_file())):
            raw = path.read_bytes()
            content.update(f"{path.relative_to(self.root).as_posix()}\0{len(raw)}\0".encode())
            content.update(raw)
        return content.hexdigest()

    def lines(self, backend: ibis.BaseBackend, *, until: int | None = None) -> ibis.Table:
        """The lines strictly before ``until`` (microseconds) as a table of an Ibis backend.

        Parameters
        ----------
        backend : ibis.BaseBackend
            DuckDB, Spark, or another that reads Parquet files.

        Returns
        -------
        ibis.Table
            Without the lines of customers that were erased later; ``late`` is false for what a rebuild folded in.
        """
        import ibis

        paths = self.paths(until)
        if not paths:
            return ibis.memtable(SCHEMA.empty_table())
        table = self._read(backend, paths).select(SCHEMA.names)
        table = self._with_folded_late(without_erased(table, self.root))
        if until is None:
            return table
        cut_off = ibis.literal(to_datetime(until))
        return table.filter(table.day <= (until - 1) // DAY_US, table.occurred_at < cut_off)

    def _read(self, backend: ibis.BaseBackend, paths: tuple[Path, ...]) -> Any:
        if backend.name == "duckdb":
            return backend.read_parquet([str(path) for path in paths])
        if len(paths) == len(list((self.root / "events").glob("*/*.parquet"))):
            return backend.read_parquet(str(self.root / "events" / "*" / "*.parquet"))
        # Spark is given one pattern, and Hadoop's patterns know alternatives.
        names = ",".join(path.relative_to(self.root / "events").as_posix() for path in paths)
        return backend.read_parquet(f"{self.root / 'events'}/{{{names}}}")

    def _with_folded_late(self, table: Any) -> Any:
        """Late lines of before the last rebuild count like any other."""
        import ibis

        if (rebuilt_at := read_rebuilt_at(self.root)) is None:
            return table
        return table.mutate(late=table.late & (table.received_at > ibis.literal(to_datetime(rebuilt_at))))

    def _write_day(self, day: int, lines: pa.Table, name: str) -> Path:
        path = self.root / "events" / day_folder(day) / f"{name}.parquet"
        write_parquet(lines, path)
        return path


def counted_once(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Files without those that were merged into another of them, which names them and may lie beside them for hours."""
    merged = [path for path in paths if path.name.startswith(MERGED)]
    replaced = {path.with_name(name) for path in merged for name in _replaced_by(path)}
    return tuple(path for path in paths if path not in replaced)


def table_of(lines: Iterable[Line]) -> pa.Table:
    """Lines as a table of :data:`SCHEMA`."""
    rows = list(lines)
    return pa.table({c.name: pa.array([getattr(row, c.name) for row in rows], ARROW[c.arrow]) for c in COLUMNS}, SCHEMA)


def lines_of(table: pa.Table) -> Iterator[Line]:
    """Inverse of :func:`table_of`."""
    for name in ("occurred_at", "received_at"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.int64()))
    for row in table.drop_columns(["day"]).to_pylist():
        yield Line(**row)


def catalog_table(items: Iterable[Item]) -> pa.Table:
    """Items as a table of :data:`CATALOG_SCHEMA`."""
    rows = list(items)
    columns = {f.name: pa.array([getattr(row, f.name) for row in rows], f.type) for f in CATALOG_SCHEMA}
    return pa.table(columns, CATALOG_SCHEMA)


def items_of(catalog: pa.Table) -> list[Item]:
    """Inverse of :func:`catalog_table`."""
    published_at = catalog["published_at"].cast(pa.int64())
    rows = catalog.set_column(catalog.schema.get_field_index("published_at"), "published_at", published_at).to_pylist()
    return [Item(**row) for row in rows]


def read_catalog(root: Path) -> pa.Table:
    """The catalog of a data directory, by item id; no rows where there is none.

    Raises
    ------
    InvalidData
        ``catalog.parquet`` is of another shape.
    """
    path = root / "catalog.parquet"
    if not path.exists():
        return CATALOG_SCHEMA.empty_table()
    check_schema(path, CATALOG_SCHEMA)
    return pq.read_table(path, partitioning=None).select(CATALOG_SCHEMA.names).cast(CATALOG_SCHEMA)


def write_catalog(root: Path, rows: pa.Table) -> pa.Table:
    """Add rows to the catalog; of several rows of one item the last stays. Returns the whole catalog."""
    both = pa.concat_tables([read_catalog(root), rows.select(CATALOG_SCHEMA.names).cast(CATALOG_SCHEMA)])
    latest = latest_rows(both)
    write_parquet(latest, root / "catalog.parquet")
    return latest


def latest_rows(catalog: pa.Table) -> pa.Table:
    """The last row of each item, sorted by item id."""
    row_of = {item_id: row for row, item_id in enumerate(catalog["item_id"].to_pylist())}
    return catalog.take(pa.array([row_of[item_id] for item_id in sorted(row_of)], pa.int64()))


def conform(table: pa.Table) -> pa.Table:
    """The table with exactly the columns of :data:`SCHEMA`.

    Raises
    ------
    InvalidData
        See :meth:`EventLog.write`.
    """
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise InvalidData(f"expected a column {missing[0]} in a table of events")
    lines = table.select(SCHEMA.names)
    for field in SCHEMA:
        if not field.nullable and lines[field.name].null_count:
            raise InvalidData(f"expected a value in every row of {field.name}")
    lines = lines.cast(SCHEMA)
    days = pc.divide(pc.cast(lines["occurred_at"], pa.int64()), DAY_US)
    if not pc.all(pc.equal(days, lines["day"])).as_py() and lines.num_rows:
        raise InvalidData("expected day to be the UTC day of occurred_at")
    return lines


def refuse_collisions(lines: pa.Table) -> None:
    """Two item ids with one key would be taken for one item.

    Raises
    ------
    InvalidData
        There are such ids; the message names them.
    """
    pairs = lines.select(["item_key", "item_id"]).group_by(["item_key", "item_id"]).aggregate([])
    counts = pairs.group_by("item_key").aggregate([("item_id", "count_distinct")])
    twice = counts.filter(pc.greater(counts["item_id_count_distinct"], 1))["item_key"]
    if len(twice):
        ids = pairs.filter(pc.equal(pairs["item_key"], twice[0]))["item_id"].to_pylist()
        raise InvalidData(f"expected a key of its own for each item, got one for {ids[0]!r} and {ids[1]!r}")


def day_folder(day: int) -> str:
    """Folder name of a UTC day since 1970."""
    return (_EPOCH_DAY + timedelta(days=day)).isoformat()


def _by_day(lines: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Days and their lines; ``lines`` is sorted by day."""
    days, starts = np.unique(lines["day"].to_numpy(), return_index=True)
    for day, start, end in zip(days, starts, (*starts[1:], lines.num_rows), strict=True):
        yield int(day), lines.slice(start, end - start)


def _replaced_by(path: Path) -> list[str]:
    found = (metadata(path).schema.to_arrow_schema().metadata or {}).get(REPLACES, b"[]")
    return msgspec.json.decode(found, type=list[str])


def _bounds(footer: pq.FileMetaData) -> list[int]:
    column = SCHEMA.get_field_index("occurred_at")
    groups = (footer.row_group(n).column(column).statistics for n in range(footer.num_row_groups))
    return [bound for group in groups if group and group.has_min_max for bound in (group.min_raw, group.max_raw)]
