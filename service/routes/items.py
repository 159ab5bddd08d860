"""Catalogue changes in."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.answers import encode
from service.bodies import json_body, one_or_more
from service.bootstrap import Program
from service.models import MAX_ITEMS
from service.openapi import ITEM, answers, one_or_many
from service.problems import rejections

MAX_ITEMS_BODY = 1 << 20


def router(program: Program) -> APIRouter:
    """The route that puts items."""
    routes = APIRouter(prefix="/v1", tags=["items"])

    @routes.put(
        "/items",
        responses=answers({"accepted": 1, "rejected": []}, 413, 422, 503),
        openapi_extra=one_or_many("item", ITEM, {**ITEM, "item_id": "sku-13", "available": False}),
        max_body_size=MAX_ITEMS_BODY,
    )
    async def put_items(request: Request) -> Response:
        """Put one item, or up to 500: every worker knows within a second, the next training too."""
        rows, is_one = one_or_more(await json_body(request), "items", MAX_ITEMS)
        accepted, refused = await program.put_items(rows)
        answer = {"accepted": accepted, "rejected": rejections(refused, is_one=is_one)}
        return Response(encode(answer), media_type="application/json")

    return routes
