"""Rows of some customers, from the files of the log, a few thousand at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.dataset as ds

from service.log_files import TIMES, all_paths, current_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ROWS_AT_ONCE: Final = 8_192


def rows_of(data: Path, kind: str, customer_ids: Sequence[str]) -> Iterator[list[tuple[dict[str, Any], int]]]:
    """Rows with the moment each is from (microseconds), by file; lists are never empty."""
    is_theirs = ds.field("customer_id").isin(pa.array(customer_ids, pa.string()))
    for path in current_paths(all_paths(data, kind)):
        batches = ds.dataset(path).to_batches(filter=is_theirs, batch_size=ROWS_AT_ONCE, fragment_readahead=1)
        for batch in batches:
            if batch.num_rows:
                at = batch[TIMES[kind]].cast(pa.int64()).to_pylist()
                yield list(zip(batch.to_pylist(), at, strict=True))
