"""The files of the log as the service sees them: which hold what counts, and how one is rewritten.

Small files are merged into one that carries the names of those it replaces. Whoever reads leaves the
replaced ones out, so it does not matter when they are removed, nor where a merge was interrupted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from service.current import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from service.erased_files import ErasedFiles

REPLACES: Final = b"rihla.replaces"
"""In a merged file's schema: names of the files that it replaces, as JSON."""
MERGED: Final = "merged-"
ROWS_AT_ONCE: Final = 65_536
TIMES: Final = {"events": "occurred_at", "decisions": "decided_at", "base": "until"}
"""The column that says when a row is from, by kind."""


def all_paths(data: Path, kind: str) -> list[Path]:
    """Every file of a kind, by day and name, whether it counts or was replaced."""
    pattern = "[!.]*.parquet" if kind == "base" else "[0-9]*-[0-9]*-[0-9]*/[!.]*.parquet"
    return sorted((data / kind).glob(pattern))


def current_paths(paths: Iterable[Path]) -> list[Path]:
    """Those of some files that no other of them replaces."""
    found = list(paths)
    replaced = {path.with_name(name) for path in found for name in replaced_by(path)}
    return [path for path in found if path not in replaced]


def replaced_by(path: Path) -> list[str]:
    """Names of the files that a merged one replaces; none for any other."""
    if not path.name.startswith(MERGED):
        return []
    metadata = pq.read_schema(path).metadata or {}
    return msgspec.json.decode(metadata.get(REPLACES, b"[]"), type=list[str])


def forget_erased(path: Path, kind: str, erased: ErasedFiles) -> int:
    """Rewrite a file without the rows of customers who were erased since; how many rows went."""
    times = TIMES[kind]
    gone = _erased_in(path, erased)
    if not gone:
        return 0
    rows = pq.read_table(path, columns=["customer_id", times], partitioning=None)
    n_before = int(rows.num_rows)
    n_after = int(rows.filter(_stays(rows, times, gone)).num_rows)
    if n_after < n_before:
        dataset = ds.dataset(path, schema=pq.read_schema(path))
        kept = (batch.filter(_stays(batch, times, gone)) for batch in dataset.to_batches(batch_size=ROWS_AT_ONCE))
        write_batches(path, dataset.schema, kept)
    return n_before - n_after


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write batches beside, flush to disk, rename: never more than a row group in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for table in _in_row_groups(schema, batches):
                writer.write_table(table)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    sync_directory(path.parent)


def _in_row_groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterable[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= ROWS_AT_ONCE:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    yield pa.Table.from_batches(waiting, schema)


def _erased_in(path: Path, erased: ErasedFiles) -> dict[str, int]:
    """Erased customers whose id occurs in a file, with the time of their erasure."""
    ids: set[str] = set()
    for batch in ds.dataset(path, schema=pq.read_schema(path)).to_batches(columns=["customer_id"]):
        ids.update(batch.column(0).unique().drop_null().to_pylist())
    return {each: at for each in ids if (at := erased.erased_at(each))}


def _stays(rows: pa.Table | pa.RecordBatch, times: str, gone: dict[str, int]) -> pa.Array:
    ids, at = rows["customer_id"].to_pylist(), rows[times].cast(pa.int64()).to_pylist()
    return pa.array([each is None or happened > gone.get(each, 0) for each, happened in zip(ids, at, strict=True)])
