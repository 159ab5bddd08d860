"""A file read into columns: CSV, Parquet or NDJSON, every value as it was written.

Ids stay text, so that ``007`` is not 7. A row that does not even have the form of one goes to the rejects.
"""

from __future__ import annotations

import csv
import io
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from features.errors import InvalidData
from features.events import MAX_LINES
from features.ingest import LINE_FIELDS
from training.importers.cells import Cells, Coder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from training.importers.rejects import Rejects

SUFFIXES: Final[Mapping[str, str]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), "csv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".ndjson", ".jsonl", ".json"), "ndjson"),
}
MEMBER: Final = "items."
"""Prefix of the columns that hold the members of ``items``."""


@dataclass(frozen=True)
class Sheet:
    """Rows of one file.

    Attributes
    ----------
    file : str
        Name of the file, for messages.
    rows : int64, shape (n,)
        Row of the file that each row here comes from, from 1; an order's items share one.
    line_no : int32, shape (n,)
        Place among those that share one.
    columns : dict
        Cells by the file's own column names.
    n_read : int
        Rows of the file, with those that could not be read.
    """

    file: str
    rows: NDArray[np.int64]
    line_no: NDArray[np.int32]
    columns: dict[str, Cells]
    n_read: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> Cells:
        """Cells of a column; empty ones where there is no such column."""
        return self.columns.get(name) or Cells.empty(len(self))

    def take(self, keep: NDArray[Any]) -> Sheet:
        """Some of the rows, by index or mask."""
        columns = {name: cells.take(keep) for name, cells in self.columns.items()}
        return Sheet(self.file, self.rows[keep], self.line_no[keep], columns, self.n_read)

    def having(self, columns: dict[str, Cells]) -> Sheet:
        """The same rows with other columns."""
        return replace(self, columns=columns)


def format_of(path: Path) -> str | None:
    """``csv``, ``parquet`` or ``ndjson`` by the file's ending, which ``.gz`` may follow; None for any other."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def read_sheet(path: Path, rejects: Rejects) -> Sheet:
    """All rows of a file that have the form of a row.

    Raises
    ------
    InvalidData
        The file is empty, or not of the format that its ending says; the message names it.
    """
    form = format_of(path)
    if form is None:
        raise InvalidData(f"{path}: expected a file that ends in .csv, .parquet or .ndjson")
    if not path.stat().st_size:
        raise InvalidData(f"{path}: expected rows, got an empty file")
    read = {"csv": _read_csv, "parquet": _read_parquet, "ndjson": _read_ndjson}[form]
    before = rejects.n_rows
    sheet = read(path, rejects)
    if not len(sheet):
        raise InvalidData(f"{path}: expected rows, got none that can be read")
    return replace(sheet, n_read=len(set(sheet.rows.tolist())) + rejects.n_rows - before)


def _read_parquet(path: Path, _: Rejects) -> Sheet:
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowInvalid, OSError):
        raise InvalidData(f"{path}: expected a Parquet file") from None
    return _of_table(path.name, table, np.arange(1, table.num_rows + 1))


def _read_ndjson(path: Path, rejects: Rejects) -> Sheet:
    records: list[tuple[int, dict[str, Any]]] = []
    for row, line in enumerate(io.BytesIO(_content(path)), start=1):
        if not line.strip():
            continue
        try:
            record = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            record = None
        if isinstance(record, dict):
            records.append((row, record))
        else:
            rejects.add(path.name, "", [(row, line[:100].strip(), "expected one JSON object a line")])
    return _of_records(path.name, records)


def _read_csv(path: Path, rejects: Rejects) -> Sheet:
    raw = _content(path)
    header, separator = _header(path, raw)
    if raw.count(b'"') % 2:
        return _read_line_by_line(path, raw, header, separator, rejects)
    odd: list[tuple[int, object, str]] = []

    def keep_odd(row: pa.csv.InvalidRow) -> str:
        odd.append((row.number - 1, row.text, f"expected {len(header)} columns, got {row.actual_columns}"))
        return "skip"

    table = pyarrow.csv.read_csv(
        io.BytesIO(raw),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=1 << 24),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=separator, newlines_in_values=True, invalid_row_handler=keep_odd
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(header, pa.binary()), strings_can_be_null=False
        ),
    )
    rejects.add(path.name, "", odd)
    all_rows = np.arange(1, table.num_rows + len(odd) + 1)
    return _of_table(path.name, table, np.setdiff1d(all_rows, [row for row, _, _ in odd]))


def _read_line_by_line(path: Path, raw: bytes, header: list[str], separator: str, rejects: Rejects) -> Sheet:
    """Rows of a CSV with a quote that is never closed, which would swallow all that follows it."""
    coders = [Coder() for _ in header]
    rows = array("q")
    lines = (line for line in raw.decode("utf-8-sig", "surrogateescape").splitlines() if line)
    next(lines)
    for row, line in enumerate(lines, start=1):
        cells = _split(line, separator)
        if cells is None or len(cells) != len(header):
            reason = "a quote that is not closed" if cells is None else f"{len(cells)}"
            rejects.add(path.name, "", [(row, line, f"expected {len(header)} columns, got {reason}")])
            continue
        for coder, cell in zip(coders, cells, strict=True):
            coder.add(len(rows), cell)
        rows.append(row)
    columns = {name: coder.cells(len(rows)) for name, coder in zip(header, coders, strict=True)}
    return _sheet(path.name, np.array(rows, np.int64), columns)


def _split(line: str, separator: str) -> list[str] | None:
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error:
        return None


def _content(path: Path) -> bytes:
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            return bytes(stream.read())
    except OSError:
        raise InvalidData(f"{path}: expected a file that can be read") from None


def _header(path: Path, raw: bytes) -> tuple[list[str], str]:
    """Column names, and what separates them: the sign that is most frequent in the first line."""
    try:
        first = raw.split(b"\n", 1)[0].decode("utf-8-sig").strip("\r")
    except UnicodeDecodeError:
        raise InvalidData(f"{path}: expected a CSV file in UTF-8 with a line of column names") from None
    separator = max(",;\t|", key=first.count)
    names = _split(first, separator) or []
    if not all(names) or not names or "\0" in first:
        raise InvalidData(f"{path}: expected a CSV file with a line of column names")
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InvalidData(f"{path}: expected column names of their own, got {min(twice)!r} twice")
    return names, separator


def _of_table(file: str, table: pa.Table, rows: NDArray[np.int64]) -> Sheet:
    if any(pa.types.is_nested(kind) for kind in table.schema.types):
        return _of_records(file, zip(rows.tolist(), table.to_pylist(), strict=True))
    return _sheet(file, rows, {name: Cells.of_arrow(table[name]) for name in table.column_names})


def _sheet(file: str, rows: NDArray[np.int64], columns: dict[str, Cells]) -> Sheet:
    return Sheet(file, rows, np.zeros(len(rows), np.int32), columns)


def _of_records(file: str, records: Iterable[tuple[int, dict[str, Any]]]) -> Sheet:
    """Objects as columns: nested names joined by a dot, a row for each member of ``items``."""
    coders: dict[str, Coder] = {}
    rows, line_nos = array("q"), array("i")
    for row, record in records:
        for line_no, line in enumerate(_members(record)):
            for name, value in _named(line):
                coders.setdefault(name, Coder()).add(len(rows), value)
            rows.append(row)
            line_nos.append(line_no)
    columns = {name: coder.cells(len(rows)) for name, coder in coders.items()}
    return Sheet(file, np.array(rows, np.int64), np.array(line_nos, np.int32), columns)


def _members(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    items: Any = record.get("items")
    is_list = isinstance(items, list) and 0 < len(items) <= MAX_LINES
    if not is_list or any(record.get(name) is not None for name in LINE_FIELDS):
        yield record
        return
    shared = {name: value for name, value in record.items() if name != "items"}
    for item in items:
        members = item if isinstance(item, dict) else {"item_id": item}
        yield shared | {MEMBER + name: value for name, value in members.items()}


def _named(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if value is None:
            continue
        yield name, value
        if isinstance(value, dict):
            for inner, deeper in value.items():
                if deeper is not None:
                    yield f"{name}.{inner}", deeper
