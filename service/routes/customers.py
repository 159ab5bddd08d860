"""What is known of a customer, and what they agree to."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.answers import encode
from service.bodies import body_as, id_of
from service.bootstrap import Program
from service.models import ConsentAsk
from service.openapi import SLATE, TOLD, answers, body_of, parameters_of


def router(program: Program) -> APIRouter:
    """The routes that describe a customer and take their consent."""
    routes = APIRouter(prefix="/v1", tags=["customers"])

    @routes.get(
        "/customers/{customer_id}",  # noqa: FAST003 - read by hand, see bodies.py
        responses=answers({"customer_id": "c-1017", "stage": SLATE["stage"], "known": {}}, 404, 422, 503),
        openapi_extra=parameters_of(path="customer_id"),
    )
    async def describe(request: Request) -> Response:
        """Where a customer stands and what is known of them."""
        answer = await program.describe(id_of(request, "customer_id"))
        return Response(encode(answer), media_type="application/json")

    @routes.put(
        "/customers/{customer_id}/consent",  # noqa: FAST003 - read by hand, see bodies.py
        status_code=202,
        responses=answers(TOLD, 404, 409, 413, 422, 429, 503, ok=202),
        openapi_extra=parameters_of(path="customer_id") | body_of(ConsentAsk),
    )
    async def consent(request: Request) -> Response:
        """A customer agrees to some purposes, or withdraws; it holds from the next slate on."""
        customer_id = id_of(request, "customer_id")
        answer = await program.tell.consent(customer_id, await body_as(request, ConsentAsk))
        return Response(encode(answer), 202, media_type="application/json")

    return routes
