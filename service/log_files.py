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
OTHERS: Final = ("from", "anonymous_id")
"""Properties that may hold the id of another identity."""
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
    """Rewrite a file without what it holds of customers who were erased since; how many rows were changed or went."""
    dataset = ds.dataset(path, schema=pq.read_schema(path))
    columns = [name for name in ("customer_id", "type", "properties", TIMES[kind]) if name in dataset.schema.names]
    n = sum(_forgotten(batch, kind, erased)[1] for batch in dataset.to_batches(columns=columns))
    if n:
        kept = (_forgotten(batch, kind, erased)[0] for batch in dataset.to_batches(batch_size=ROWS_AT_ONCE))
        write_batches(path, dataset.schema, kept)
    return n


def _forgotten(batch: pa.RecordBatch, kind: str, erased: ErasedFiles) -> tuple[pa.RecordBatch, int]:
    """Rows less those of erased customers, and how many of them changed or went."""
    at = batch[TIMES[kind]].cast(pa.int64()).to_pylist()
    erased_at = {each: erased.erased_at(each) for each in batch["customer_id"].unique().to_pylist()}
    ids = batch["customer_id"].to_pylist()
    stays = [happened > erased_at[each] for each, happened in zip(ids, at, strict=True)]
    n_redacted = 0
    if kind == "events":
        texts = batch["properties"].to_pylist()
        for row, text in enumerate(texts):
            other = other_identity(text)
            if other is None or not stays[row] or at[row] > erased.erased_at(other):
                continue
            texts[row] = without_other(text)
            n_redacted += 1
        place = batch.schema.get_field_index("properties")
        batch = batch.set_column(place, batch.schema.field(place), pa.array(texts, pa.string()))
    kept = batch.filter(pa.array(stays, pa.bool_()))
    return kept, n_redacted + int(batch.num_rows - kept.num_rows)


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


def other_identity(properties: str) -> str | None:
    """The id of another identity that an event names: at the other end of a link, or of a visitor who logged in."""
    if not any(f'"{name}":' in properties for name in OTHERS):
        return None
    found = msgspec.json.decode(properties)
    return next((found[name] for name in OTHERS if isinstance(found.get(name), str)), None)


def without_other(properties: str) -> str:
    """Properties that name no other identity any more; a link without its other end counts for nothing."""
    found = msgspec.json.decode(properties)
    return msgspec.json.encode({name: found[name] for name in found if name not in OTHERS}, order="sorted").decode()
