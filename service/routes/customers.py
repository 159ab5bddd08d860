"""What is known of a customer."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.answers import encode
from service.bodies import id_of
from service.bootstrap import Program
from service.openapi import SLATE, answers


def router(program: Program) -> APIRouter:
    """The route that describes a customer."""
    routes = APIRouter(prefix="/v1", tags=["customers"])

    @routes.get(
        "/customers/{customer_id}",
        responses=answers({"customer_id": "c-1017", "stage": SLATE["stage"], "known": {}}, 404, 422, 503),
    )
    async def describe(customer_id: str) -> Response:
        """Where a customer stands and what is known of them."""
        return Response(
            encode(await program.describe(id_of(customer_id, "customer_id"))), media_type="application/json"
        )

    return routes
