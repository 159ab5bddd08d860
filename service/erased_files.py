"""``data/erased/``: whose lines every reader of the log leaves out, by keyed hashes alone.

``key`` (mode 0600) is made once and belongs to this data directory; ``*.parquet`` hold ``customer_hash``
(of the id, under that key), ``customer_key`` (as the store knows them, so that a lost store can be told
again) and ``erased_at``. Only the drainer writes here, under the name of what it drained: again does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.ids import erased_hash
from features.kept_secret import kept_secret
from service.day_files import write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from service.store.erasures import Erasure

FOLDER: Final = "erased"
KEY_BYTES: Final = 32
MANY: Final = 256
"""Files that are merged into one."""
SCHEMA: Final = pa.schema(
    [
        pa.field("customer_hash", pa.binary(16), nullable=False),
        pa.field("customer_key", pa.binary(16), nullable=False),
        pa.field("erased_at", pa.timestamp("us", "UTC"), nullable=False),
    ]
)


class ErasedFiles:
    """The erased customers of one data directory, as far as they were read."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER
        self._names: set[str] = set()
        self._erased_at: dict[bytes, int] = {}
        self._key = b""

    def __bool__(self) -> bool:
        return bool(self._erased_at)

    def erased_at(self, customer_id: str | None) -> int:
        """When a customer was erased, microseconds; 0 for all others."""
        if customer_id is None or not self._erased_at:
            return 0
        return self._erased_at.get(erased_hash(customer_id, self._key), 0)

    @property
    def newest(self) -> int:
        """Time of the last erasure; 0 without any."""
        return max(self._erased_at.values(), default=0)

    def refresh(self) -> None:
        """Read the files that were not read yet."""
        found = set(self.paths())
        for path in sorted(found):
            if path.name not in self._names:
                self._take(pq.read_table(path, schema=SCHEMA, partitioning=None))
        self._names = {path.name for path in found}
        if found:
            self._key = key_of(self._folder)

    def write(self, name: str, erasures: Sequence[Erasure]) -> None:
        """Keep erasures in ``<name>.parquet``, replacing that file, and know them from now on."""
        key = key_of(self._folder)
        columns = [
            [erased_hash(each.customer_id, key) for each in erasures],
            [bytes.fromhex(each.member) for each in erasures],
            [each.erased_at for each in erasures],
        ]
        write_parquet(self._folder / f"{name}.parquet", pa.table(columns, SCHEMA))
        self.refresh()
        self._merge_many()

    def paths(self) -> Iterable[Path]:
        """The files, as far as there are any."""
        return self._folder.glob("[!.]*.parquet")

    def members(self) -> dict[str, int]:
        """``customer_key`` of everybody erased, with the time: what a store that was lost has to be told again."""
        found: dict[str, int] = {}
        for path in self.paths():
            table = pq.read_table(path, schema=SCHEMA, partitioning=None)
            for member, at in zip(table["customer_key"].to_pylist(), _times(table), strict=True):
                found[member.hex()] = max(at, found.get(member.hex(), 0))
        return found

    def _take(self, table: pa.Table) -> None:
        for hashed, at in zip(table["customer_hash"].to_pylist(), _times(table), strict=True):
            self._erased_at[hashed] = max(at, self._erased_at.get(hashed, 0))

    def _merge_many(self) -> None:
        """Many small files become one; a crash in between leaves erasures twice, which says the same."""
        paths = sorted(self.paths())
        if len(paths) < MANY:
            return
        table = pa.concat_tables(pq.read_table(path, schema=SCHEMA, partitioning=None) for path in paths)
        write_parquet(paths[-1], table)
        for path in paths[:-1]:
            path.unlink(missing_ok=True)
        self._names = {paths[-1].name}


def key_of(folder: Path) -> bytes:
    """The key of a data directory's hashes, made where there is none."""
    return kept_secret(folder / "key", KEY_BYTES)


def _times(table: pa.Table) -> list[int]:
    times: list[int] = table["erased_at"].cast(pa.int64()).to_pylist()
    return times
