"""Many small files of a day become one.

The merged file names what it replaces and appears whole, so every reader counts each row once, whatever
it saw of the folder. What was replaced is removed hours later, when nobody reads it any more.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow.dataset as ds

from service.day_files import DECISIONS, EVENTS
from service.log_files import MERGED, REPLACES, ROWS_AT_ONCE, all_paths, current_paths, replaced_by, write_batches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

MANY: Final = 32
AT_ONCE: Final = 4_096
SETTLED_S: Final = 600
"""A drained file is left alone so long: its drainer may still write it again."""
READ_S: Final = 6 * 3_600
"""A reader may still be at a file that was replaced within this time."""
REPLAYED_S: Final = 86_400
"""So long a drainer that stood still could put a file back that was replaced and removed."""
SCHEMAS: Final[dict[str, pa.Schema]] = {"events": EVENTS, "decisions": DECISIONS}
_DRAINED: Final = re.compile(r"\d+-\d+_(\d+)-\d+_[0-9a-f]{16}\.parquet")


def merge_small_files(data: Path, kind: str, now_s: float | None = None, *, many: int = MANY) -> int:
    """Merge what there are ``many`` of, in every day's folder; how many files were merged."""
    now_s = time.time() if now_s is None else now_s
    n = 0
    for folder in sorted({path.parent for path in all_paths(data, kind)}):
        for names in _batches(folder, now_s, many):
            _merge(folder, names, SCHEMAS[kind], now_s)
            n += len(names)
        _remove_replaced(folder, now_s)
    return n


def _batches(folder: Path, now_s: float, many: int) -> list[list[str]]:
    """Names to merge: drained files that are settled, and merged ones where those have become many."""
    found = [path.name for path in current_paths(sorted(folder.glob("[!.]*.parquet")))]
    drained = [name for name in found if _drained_at(name) and _drained_at(name) < now_s - SETTLED_S]
    merged = [name for name in found if name.startswith(MERGED)]
    return [names[:AT_ONCE] for names in (drained, merged) if len(names) >= many]


def _merge(folder: Path, names: Sequence[str], schema: pa.Schema, now_s: float) -> None:
    inherited = [name for each in names for name in replaced_by(folder / each)]
    kept = [name for name in inherited if (folder / name).exists() or _drained_at(name) > now_s - REPLAYED_S]
    schema = schema.with_metadata({REPLACES: msgspec.json.encode(sorted({*names, *kept}))})
    dataset = ds.dataset([str(folder / name) for name in names], schema=schema, format="parquet")
    path = folder / f"{MERGED}{int(now_s * 1000)}-{secrets.token_hex(4)}.parquet"
    write_batches(path, schema, dataset.to_batches(batch_size=ROWS_AT_ONCE))


def _remove_replaced(folder: Path, now_s: float) -> None:
    for path in folder.glob(f"{MERGED}*.parquet"):
        if path.stat().st_mtime < now_s - READ_S:
            for name in replaced_by(path):
                (folder / name).unlink(missing_ok=True)


def _drained_at(name: str) -> float:
    """Second of the last entry of a drained file, by its name; 0 for any other."""
    found = _DRAINED.fullmatch(name)
    return int(found.group(1)) / 1000 if found else 0.0
