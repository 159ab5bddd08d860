"""Customers who were erased: their lines stay out of everything that is read, before any file is rewritten.

``DIR/erased/*.parquet`` holds keyed hashes of ids and times, written by the service; ``DIR/erased/key`` the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import InvalidData
from features.ids import erased_hash

if TYPE_CHECKING:
    from pathlib import Path

    import ibis.expr.types as ir

MOMENT: Final = pa.timestamp("us", "UTC")
SCHEMA: Final = pa.schema([("customer_id", pa.string()), ("erased_at", MOMENT)])


def erased_paths(root: Path) -> tuple[Path, ...]:
    """Files that say who was erased, by name."""
    return tuple(sorted((root / "erased").glob("[!.]*.parquet")))


def without_erased(lines: ir.Table, root: Path) -> ir.Table:
    """Lines that are of nobody who was erased after they happened.

    Parameters
    ----------
    lines : ibis.Table
        With ``customer_id`` and ``occurred_at``, on any backend.

    Raises
    ------
    InvalidData
        There are erasures and the key to tell them by is lost.
    """
    if not erased_paths(root):
        return lines
    known = lines.filter(lines.customer_id.notnull()).select("customer_id").distinct().to_pyarrow()
    erased = erased_among(known["customer_id"], root)
    if not erased.num_rows:
        return lines
    table = ibis.memtable(erased)
    # On Spark, Ibis knows a table in memory once it was executed, and not yet when it is part of a cached one.
    lines.get_backend().to_pyarrow(table.limit(0))
    return lines.anti_join(table, [lines.customer_id == table.customer_id, lines.occurred_at <= table.erased_at])


def erased_among(customer_ids: pa.ChunkedArray, root: Path) -> pa.Table:
    """Those of some customers who were erased, and when: ``customer_id``, ``erased_at``."""
    times = _times(root)
    key = _key(root) if times else b""
    asked = customer_ids.to_pylist() if times else []
    found = [(each, times.get(erased_hash(each, key))) for each in asked]
    kept = [(each, at) for each, at in found if at is not None]
    ids, at = pa.array([each for each, _ in kept], pa.string()), pa.array([at for _, at in kept], pa.int64())
    return pa.table([ids, at.cast(MOMENT)], SCHEMA)


def _times(root: Path) -> dict[bytes, int]:
    """Time of the last erasure, microseconds, by keyed hash."""
    times: dict[bytes, int] = {}
    for path in erased_paths(root):
        table = pq.read_table(path, columns=["customer_hash", "erased_at"], partitioning=None)
        at = pc.cast(table["erased_at"], pa.int64()).to_pylist()
        for hashed, erased_at in zip(table["customer_hash"].to_pylist(), at, strict=True):
            times[hashed] = max(erased_at, times.get(hashed, 0))
    return times


def _key(root: Path) -> bytes:
    try:
        return (root / "erased" / "key").read_bytes()
    except OSError:
        raise InvalidData(f"{root}/erased/key: expected the key by which erased customers are told") from None
