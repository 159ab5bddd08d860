"""Files that appear whole or not at all, and Parquet files that are checked before they are believed."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replace_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of ``path`` at the end: synced, then renamed.

    Whatever goes wrong before the end leaves ``path`` as it was, and nothing beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a Parquet file that survives a crash: whole or not there."""
    with replace_file(path) as file:
        pq.write_table(table, file, compression="zstd")


def metadata(path: Path) -> pq.FileMetaData:
    """Footer of a Parquet file.

    Raises
    ------
    InvalidData
        Not a Parquet file.
    """
    try:
        return pq.read_metadata(path)
    except (pa.ArrowInvalid, OSError):
        raise InvalidData(f"{path}: expected a Parquet file") from None


def check_schema(path: Path, schema: pa.Schema) -> None:
    """Refuse a Parquet file with other columns than ``schema``; more columns do no harm.

    Raises
    ------
    InvalidData
        Naming the file and the first column that is missing or of another type.
    """
    found = metadata(path).schema.to_arrow_schema()
    for field in schema:
        index = found.get_field_index(field.name)
        got = None if index < 0 else found.field(index).type
        if got != field.type:
            raise InvalidData(f"{path}: expected a column {field.name} of {field.type}, got {got or 'none'}")
