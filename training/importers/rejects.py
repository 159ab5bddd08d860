"""Rows that could not be used, each with its number, field, value and the reason."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_SHOWN: Final = 80


class Reject(msgspec.Struct, frozen=True):
    """One line of ``rejects.ndjson``; ``row`` counts from 1, without a header."""

    row: int
    field: str
    value: str
    reason: str
    file: str


class Rejects:
    """The bad rows of one import, in the order in which they were found."""

    def __init__(self) -> None:
        self.rows: list[Reject] = []

    @property
    def n_rows(self) -> int:
        """Number of rows of the files; a row with several bad items is one."""
        return len({(reject.file, reject.row) for reject in self.rows})

    def add(self, file: str, field: str, found: Iterable[tuple[int, object, str]]) -> None:
        """Keep ``(row, value, reason)`` of some rows of a file."""
        self.rows.extend(Reject(row, field, shown(value), reason, file) for row, value, reason in found)

    def counts(self) -> dict[str, int]:
        """Number of rows by field and reason, most frequent first."""
        return dict(Counter(f"{reject.field or 'row'}: {reject.reason}" for reject in self.rows).most_common())

    def write(self, path: Path) -> None:
        """Write all of them, by file and row; an empty file says that there were none."""
        ordered = sorted(self.rows, key=lambda reject: (reject.file, reject.row))
        path.write_bytes(b"".join(msgspec.json.encode(reject) + b"\n" for reject in ordered))


def shown(value: Any) -> str:
    """A value as a person can read it, cut to a bearable length."""
    if value is None:
        return ""
    raw = value if isinstance(value, str) else value.decode("latin-1") if isinstance(value, bytes) else str(value)
    readable = raw.encode("utf-8", "backslashreplace").decode()
    return readable if len(readable) <= MAX_SHOWN else readable[: MAX_SHOWN - 1] + "…"
