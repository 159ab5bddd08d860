"""Events that belong to no customer: what is talked about, by item. They feed what is trending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.store import keys
from service.store.clients import translated
from service.store.codec import SEEN_S
from service.store.functions import call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.events import Line
    from service.store.coalesced import Coalesced


class ItemEvents:
    """Appends to the stream of the event's partition, each id once in 24 hours.

    The partition follows from the event's id, so that an id meets itself whatever item it comes with.
    """

    def __init__(self, writes: Coalesced) -> None:
        self._writes = writes

    async def append(self, lines: Sequence[Line], body: int, raw: bytes) -> int | None:
        """Append an event; None when it is new, else the body digest that its id came with before.

        Raises
        ------
        StoreUnavailable, StoreFull
        """
        partition = keys.partition_of_nobody(lines[0].event_id)
        names = (keys.events(partition), keys.seen_event(partition, lines[0].event_id))
        with translated():
            known = await self._writes.call(*call("append", names, [body, SEEN_S, raw]))
            return None if known is None else int(known)
