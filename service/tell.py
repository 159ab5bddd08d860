"""What a caller tells of a customer without writing an event of it: consent, links. It becomes one all the same.

So it takes the road of every event: it is logged, deduplicated by its id, and can be replayed and undone.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from features.consent import PURPOSES
from features.errors import InputError
from features.events import EventType
from service.problems import rejections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.ingest_events import IngestEvents
    from service.models import ConsentAsk, LinkAsk

PATH_POINTERS: Final = {"/customer_id": "/path/customer_id"}


class Tell:
    """The use cases behind ``PUT …/consent`` and ``POST /v1/identities:link`` and ``:unlink``.

    Each raises what the event raises that is made of it.
    """

    def __init__(self, ingest: IngestEvents) -> None:
        self._ingest = ingest

    async def consent(self, customer_id: str, ask: ConsentAsk) -> dict[str, Any]:
        """A customer agrees to some purposes, or withdraws."""
        said = {name: given for name in PURPOSES if (given := getattr(ask, name)) is not None}
        event = {"type": EventType.CONSENT, "customer_id": customer_id, "properties": said}
        return await self._told(event, ask, PATH_POINTERS)

    async def link(self, ask: LinkAsk) -> dict[str, Any]:
        """Two identities are one customer."""
        return await self._told(_about_two(EventType.LINK, ask), ask, _pointers(ask))

    async def unlink(self, ask: LinkAsk) -> dict[str, Any]:
        """Two identities are not, or no longer, one customer."""
        return await self._told(_about_two(EventType.UNLINK, ask), ask, _pointers(ask))

    async def _told(
        self, event: dict[str, Any], ask: ConsentAsk | LinkAsk, pointers: Mapping[str, str]
    ) -> dict[str, Any]:
        event_id = ask.event_id or f"{event['type']}-{secrets.token_hex(12)}"
        event |= {"event_id": event_id, "type": str(event["type"])}
        if ask.occurred_at is not None:
            event["occurred_at"] = ask.occurred_at
        done = await self._ingest([event], may_lack_time=True)
        try:
            rejections(done.rejected, is_one=True)
        except InputError as error:
            error.pointer = pointers.get(error.pointer, error.pointer)
            raise
        return {"event_id": event_id, "accepted": done.accepted, "duplicates": done.duplicates}


def _pointers(ask: LinkAsk) -> dict[str, str]:
    """Where the fields of the event stand in the body that was sent."""
    return {"/properties/from": "/anonymous_id" if ask.other_customer_id is None else "/other_customer_id"}


def _about_two(event_type: EventType, ask: LinkAsk) -> dict[str, Any]:
    other = {"anonymous_id": ask.anonymous_id} if ask.other_customer_id is None else {}
    properties = {} if ask.other_customer_id is None else {"properties": {"from": ask.other_customer_id}}
    return {"type": event_type, "customer_id": ask.customer_id, **other, **properties}
