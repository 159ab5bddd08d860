"""What an import did, in numbers and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from features.moments import to_text
from training.words import counted

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
        written = f"{counted(self.n_lines, 'line')} of {counted(self.n_events, 'event')}"
        yield f"{counted(self.n_rows, 'row')} read, {written} written"
        span = f"{to_text(self.first)} to {to_text(self.last)}"
        yield f"{counted(self.n_customers, 'customer')}, {counted(self.n_items, 'item')}, {span}"
        yield from _counted("", self.by_type)
        if self.n_without_customer:
            yield f"{counted(self.n_without_customer, 'line')} without a customer, kept as signals about items"
        if self.n_duplicates:
            yield f"{counted(self.n_duplicates, 'duplicate')} (same event_id and content) dropped"
        yield from _counted("left out: ", self.left_out)
        if self.n_rejected:
            yield f"{counted(self.n_rejected, 'row')} rejected, see rejects.ndjson"
        yield from _counted("rejected: ", self.rejected)
        yield from self.notes


def _counted(what: str, counts: Mapping[str, int]) -> Iterator[str]:
    for name, count in counts.items():
        yield f"  {count:>10,}  {what}{name}"
