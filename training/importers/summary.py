"""What an import did, in numbers and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from features.moments import to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class ImportSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one import, as ``import.json`` keeps them by source.

    ``n_rows`` rows were read; each is among the ``n_lines`` or an item of one, ``n_rejected``,
    ``n_duplicates`` or ``left_out``. ``first`` and ``last`` are microseconds since 1970 UTC.
    """

    source: str
    kind: str
    files: list[str]
    n_rows: int
    n_lines: int
    n_events: int
    n_customers: int
    n_items: int
    n_without_customer: int
    n_rejected: int
    n_duplicates: int
    left_out: dict[str, int]
    rejected: dict[str, int]
    by_type: dict[str, int]
    first: int
    last: int
    notes: list[str]

    def __str__(self) -> str:
        return "\n".join(self.render())

    def render(self) -> Iterator[str]:
        """Lines for a person to read."""
        yield f"{self.n_rows:,} rows read, {self.n_lines:,} lines of {self.n_events:,} events written"
        yield f"{self.n_customers:,} customers, {self.n_items:,} items, {to_text(self.first)} to {to_text(self.last)}"
        yield from _counted("", self.by_type)
        if self.n_without_customer:
            yield f"{self.n_without_customer:,} lines without a customer: signals about their items"
        if self.n_duplicates:
            yield f"{self.n_duplicates:,} duplicates (same event_id and content) dropped"
        yield from _counted("left out: ", self.left_out)
        if self.n_rejected:
            yield f"{self.n_rejected:,} rows rejected, see rejects.ndjson"
        yield from _counted("rejected: ", self.rejected)
        yield from self.notes


def _counted(what: str, counts: Mapping[str, int]) -> Iterator[str]:
    for name, count in counts.items():
        yield f"  {count:>10,}  {what}{name}"
