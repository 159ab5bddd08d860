"""Slates: for one customer by path, for one subject by body, for many as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams
from starlette.responses import StreamingResponse

from service.answers import encode
from service.bodies import body_as, id_of, query_as
from service.bootstrap import Program
from service.deadline import deadline_of
from service.direct import Endpoint
from service.models import BatchAsk, RelatedQuery, SlateAsk, SlateOptions, SlateQuery
from service.openapi import SLATE, answers, body_of, parameters_of
from service.recommend_batch import recommend_batch

MAX_BATCH_BODY = 1 << 20
JSON = "application/json"
CONTENT_TYPE = (b"content-type", JSON.encode())
NDJSON = "application/x-ndjson"
PATH = "/v1/customers/{customer_id}/recommendations"
ASK_PATH = "/v1/recommendations"
MAX_READ = 512
MAX_QUERY = 256
"""Bytes of a query string that is worth remembering."""


class Slated(Response):
    """A slate in JSON, of whose headers nothing but the length is made anew."""

    def init_headers(self, _: Mapping[str, str] | None = None) -> None:
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), CONTENT_TYPE]


def slate_of(program: Program) -> Endpoint:
    """The endpoint that answers with the slate of one customer."""

    async def recommend_for_customer(request: Request) -> Response:
        """The slate of one customer."""
        options = options_of(request)
        answer = await program.recommend(id_of(request, "customer_id"), options, deadline_of(request))
        return Slated(encode(answer))

    return recommend_for_customer


def asked_slate_of(program: Program) -> Endpoint:
    """The endpoint that answers with the slate of the subject that a body names."""

    async def recommend(request: Request) -> Response:
        """The slate of one subject, with context, candidates and a filter."""
        ask = await body_as(request, SlateAsk)
        return Slated(encode(await program.recommend(ask.subject.id, ask, deadline_of(request))))

    return recommend


def options_of(request: Request) -> SlateOptions:
    """What a query string asks for; short ones come again and again and are read once.

    Raises
    ------
    InvalidRequest
    """
    query = request.scope["query_string"]
    return _read(query) if len(query) <= MAX_QUERY else query_as(QueryParams(query), SlateQuery).options()


@lru_cache(MAX_READ)
def _read(query: bytes) -> SlateOptions:
    return query_as(QueryParams(query), SlateQuery).options()


def router(program: Program) -> APIRouter:
    """Routes under ``/v1`` that answer with slates."""
    routes = APIRouter(prefix="/v1", tags=["recommendations"])

    routes.add_api_route(
        PATH.removeprefix(routes.prefix),
        slate_of(program),
        responses=answers(SLATE, 404, 409, 422),
        openapi_extra=parameters_of(SlateQuery, "customer_id"),
    )

    routes.add_api_route(
        ASK_PATH.removeprefix(routes.prefix),
        asked_slate_of(program),
        methods=["POST"],
        responses=answers(SLATE, 409, 413, 422),
        openapi_extra=body_of(SlateAsk),
    )

    @routes.post(
        "/recommendations:batch",
        responses=answers({"index": 0, "status": 200, **SLATE}, 413, 422, media=NDJSON),
        openapi_extra=body_of(BatchAsk),
        max_body_size=MAX_BATCH_BODY,
    )
    async def recommend_many(request: Request) -> Response:
        """Slates of up to 1,000 subjects, a line each, with a status a line."""
        ask = await body_as(request, BatchAsk)
        return StreamingResponse(recommend_batch(program.recommend, ask), media_type=NDJSON)

    @routes.get(
        "/items/{item_id}/related",  # noqa: FAST003 - read by hand, see bodies.py
        responses=answers(SLATE, 404, 422),
        openapi_extra=parameters_of(RelatedQuery, "item_id"),
    )
    async def related(request: Request) -> Response:
        """What goes with one item, whoever looks at it."""
        query = query_as(request.query_params, RelatedQuery)
        answer = await program.recommend.related(id_of(request, "item_id"), query, deadline_of(request))
        return Slated(encode(answer))

    return routes
