"""Which identities are one customer."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.answers import encode
from service.bodies import body_as
from service.bootstrap import Program
from service.models import LinkAsk
from service.openapi import TOLD, answers, body_of


def router(program: Program) -> APIRouter:
    """The routes that link identities and undo it."""
    routes = APIRouter(prefix="/v1", tags=["identities"])
    responses = answers(TOLD, 409, 413, 422, 429, 503, ok=202)

    @routes.post("/identities:link", status_code=202, responses=responses, openapi_extra=body_of(LinkAsk))
    async def link(request: Request) -> Response:
        """Two identities are one customer, of at most eight: what is known of them is read together."""
        answer = await program.tell.link(await body_as(request, LinkAsk))
        return Response(encode(answer), 202, media_type="application/json")

    @routes.post("/identities:unlink", status_code=202, responses=responses, openapi_extra=body_of(LinkAsk))
    async def unlink(request: Request) -> Response:
        """Two identities are not one customer: each keeps what was its own."""
        answer = await program.tell.unlink(await body_as(request, LinkAsk))
        return Response(encode(answer), 202, media_type="application/json")

    return routes
