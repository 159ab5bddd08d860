"""Who stands where, and who has just moved: pages for whoever sends mail."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.answers import encode
from service.bodies import query_as
from service.bootstrap import Program
from service.models import AudienceQuery, ChangesQuery
from service.openapi import AUDIENCE, CHANGES, answers, parameters_of

JSON = "application/json"


def router(program: Program) -> APIRouter:
    """Routes that page through stages and their changes."""
    routes = APIRouter(prefix="/v1", tags=["stages"])

    @routes.get(
        "/audiences/{stage}",  # noqa: FAST003 - read by hand, see bodies.py
        responses=answers(AUDIENCE, 422, 503),
        openapi_extra=parameters_of(AudienceQuery, "stage"),
    )
    async def audience(request: Request) -> Response:
        """Customers who stand in a stage now; ``consent`` says what each may be sent."""
        query = query_as(request.query_params, AudienceQuery)
        answer = await program.audience(request.path_params["stage"], query)
        return Response(encode(answer), media_type=JSON)

    @routes.get("/stage-changes", responses=answers(CHANGES, 410, 422, 503), openapi_extra=parameters_of(ChangesQuery))
    async def changes(request: Request) -> Response:
        """Stage changes of the last 7 days, at least once; an ``id`` that came before is the same change."""
        query = query_as(request.query_params, ChangesQuery)
        return Response(encode(await program.stage_changes(query)), media_type=JSON)

    return routes
