"""A customer's own data: all of it as one document, and forgetting them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from service.answers import encode
from service.bodies import id_of
from service.bootstrap import Program
from service.openapi import EXPORT, RECEIPT, answers, parameters_of

JSON = "application/json"


def router(program: Program) -> APIRouter:
    """Routes that export a customer, erase them and show the receipt."""
    routes = APIRouter(prefix="/v1", tags=["customers"])

    @routes.delete(
        "/customers/{customer_id}",  # noqa: FAST003 - read by hand, see bodies.py
        status_code=202,
        responses=answers(RECEIPT, 404, 422, 503, ok=202),
        openapi_extra=parameters_of(path="customer_id"),
    )
    async def erase(request: Request) -> Response:
        """Forget a customer and all linked identities: at once in answers, then everywhere; see the receipt."""
        receipt = await program.erase(id_of(request, "customer_id"))
        return Response(encode(receipt), 202, media_type=JSON)

    @routes.get(
        "/erasures/{receipt_id}",  # noqa: FAST003 - read by hand, see bodies.py
        responses=answers(RECEIPT, 404, 503),
        openapi_extra=parameters_of(path="receipt_id"),
    )
    async def progress(request: Request) -> Response:
        """How far an erasure has come, part by part."""
        return Response(encode(await program.erasure(id_of(request, "receipt_id"))), media_type=JSON)

    @routes.get(
        "/customers/{customer_id}/export",  # noqa: FAST003 - read by hand, see bodies.py
        responses=answers(EXPORT, 404, 422, 503),
        openapi_extra=parameters_of(path="customer_id"),
    )
    async def export(request: Request) -> Response:
        """Everything that is known of a customer, decision records included; streamed."""
        return StreamingResponse(await program.export(id_of(request, "customer_id")), media_type=JSON)

    return routes
