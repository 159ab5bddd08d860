"""Events in."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.answers import encode
from service.bodies import json_body, one_or_more
from service.bootstrap import Program
from service.direct import Endpoint
from service.models import MAX_EVENTS
from service.openapi import EVENT, ORDER, answers, one_or_many
from service.problems import rejections

PATH = "/v1/events"
MAX_EVENTS_BODY = 1 << 20
ACCEPTED = {"accepted": 2, "duplicates": 0, "rejected": []}


def taking_in(program: Program) -> Endpoint:
    """The endpoint that takes in events."""

    async def ingest(request: Request) -> Response:
        """Take in one event, or up to 500. A 202 says that the store holds what was accepted."""
        events, is_one = one_or_more(await json_body(request), "events", MAX_EVENTS)
        done = await program.ingest(events)
        rejected = rejections(done.rejected, is_one=is_one)
        answer = {"accepted": done.accepted, "duplicates": done.duplicates, "rejected": rejected}
        return Response(encode(answer), 202, media_type="application/json")

    return ingest


def router(program: Program) -> APIRouter:
    """The route that takes in events."""
    routes = APIRouter(prefix="/v1", tags=["events"])
    routes.add_api_route(
        PATH.removeprefix(routes.prefix),
        taking_in(program),
        methods=["POST"],
        status_code=202,
        responses=answers(ACCEPTED, 409, 413, 422, 429, 503, ok=202),
        openapi_extra=one_or_many("event", EVENT, ORDER),
        max_body_size=MAX_EVENTS_BODY,
    )
    return routes
