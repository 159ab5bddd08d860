"""Keyed slates that a worker has just given or written: given again when the store is away."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from service.store.recently import MAX_AGE_US

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service.clock import Clock
    from service.store.kept import Kept

MAX_KEPT: Final = 4_096


class RecentlyKept:
    """Kept slates by customer key and field, the least recently used given up first."""

    def __init__(self, clock: Clock, max_kept: int = MAX_KEPT) -> None:
        self._clock, self._max = clock, max_kept
        self._seen: OrderedDict[tuple[str, bytes], tuple[Kept, int]] = OrderedDict()

    def put(self, member: str, field: bytes, kept: Kept) -> None:
        """Remember a slate as kept."""
        self._seen.pop((member, field), None)
        self._seen[member, field] = (kept, self._clock())
        if len(self._seen) > self._max:
            self._seen.popitem(last=False)

    def get(self, member: str, field: bytes) -> Kept | None:
        """A slate as kept; a personalised one of the last minute only, since its consent was seen no later."""
        kept, at = self._seen.get((member, field), (None, 0))
        is_old = kept is not None and kept.is_personalised and self._clock() - at > MAX_AGE_US
        return None if is_old else kept

    def clear(self) -> None:
        """Forget everybody."""
        self._seen.clear()

    def forget(self, members: Iterable[str]) -> None:
        """Forget some customers: they were erased."""
        gone = set(members)
        for each in [each for each in self._seen if each[0] in gone]:
            del self._seen[each]
