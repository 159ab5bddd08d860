"""Compaction: events that are too old become one base state an identity, and their files go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from features.events import DAY_US
from training.base import base_day, drop_before, write_base
from training.log import day_folder
from training.rebuild import customers_since, pasts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from features.past import Past
    from features.state import Schema


class Keep(NamedTuple):
    """How long events and states are kept, days."""

    events: int
    states: int


class Compacted(NamedTuple):
    """What a compaction did; ``day`` is the first day whose events are still there."""

    day: str
    identities: int
    days: int


def compact(root: Path, schema: Schema, keep: Keep, now: int) -> Compacted:
    """Write the base of everything before the days to keep, then remove those days. Again does no harm.

    Parameters
    ----------
    now : int
        Microseconds.

    Raises
    ------
    InvalidData
        A file of another shape than the log's.
    """
    first = max(now // DAY_US - keep.events, 0)
    day = day_folder(first)
    before = base_day(root)
    has_old = any(path.name < day for path in (root / "events").glob("[0-9]*-[0-9]*-[0-9]*"))
    if before is not None and before >= day:
        return Compacted(before, 0, drop_before(root, before))
    if not has_old:
        return Compacted(day, 0, 0)
    n = write_base(root, schema, day, _kept(root, schema, first * DAY_US, now - keep.states * DAY_US * 11 // 10))
    return Compacted(day, n, drop_before(root, day))


def _kept(root: Path, schema: Schema, until: int, since: int) -> Iterator[Past]:
    """Identities worth a base: of whom anything was heard since a moment, before the base's end or after it."""
    still_there = customers_since(root, until)
    for past in pasts(root, schema, until, until=until):
        last = past.state.last_touch
        if past.customer_id in still_there or last is None or last >= since:
            yield past
