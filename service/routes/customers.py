"""What is known of a customer."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.answers import encode
from service.bodies import id_of
from service.bootstrap import Program
from service.openapi import SLATE, answers, parameters_of


def router(program: Program) -> APIRouter:
    """The route that describes a customer."""
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

    return routes
