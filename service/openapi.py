"""OpenAPI for routes that read their bodies themselves: schemas from the request models, examples beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from service.models import BatchAsk, ConsentAsk, LinkAsk, SlateAsk
from service.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from fastapi import FastAPI
    from pydantic import BaseModel

BODIES: Final = (SlateAsk, BatchAsk, ConsentAsk, LinkAsk)
REF: Final = "#/components/schemas/{model}"
EVENT: Final = {
    "event_id": "e-20250811-0001",
    "type": "item_view",
    "customer_id": "c-1017",
    "item_id": "sku-12",
    "occurred_at": "2025-08-11T09:30:00Z",
    "channel": "web",
}
ORDER: Final = {
    "event_id": "o-5501",
    "type": "Order Completed",
    "customer_id": "c-1017",
    "occurred_at": "2025-08-11T09:42:10Z",
    "currency": "TRY",
    "items": [{"item_id": "sku-12", "quantity": 1, "price": 349.9}],
}
ITEM: Final = {
    "item_id": "sku-12",
    "kind": "product",
    "title": "Çaydanlık",
    "category": "home/kitchen",
    "price": 349.9,
    "currency": "TRY",
    "available": True,
}
SLATE: Final = {
    "slate_id": "0198a0c4f1d2b7e09c55a1f3c2d4e6f8",
    "generated_at": "2025-08-11T09:30:01Z",
    "expires_at": "2025-08-11T10:00:01Z",
    "stage": {
        "name": "engagement",
        "phase": None,
        "at_risk": False,
        "definition_version": "2026.2",
        "since": "2025-08-11T09:12:44Z",
        "moves": [
            {
                "move": "first_order",
                "horizon_days": 7,
                "probability": 0.231,
                "reasons": [
                    {"code": "base", "text": "Where everybody of this stage starts from", "weight": -3.4},
                    {"code": "carts", "text": "What they put in the cart", "weight": 2.4},
                    {"code": "silence", "text": "How long nothing was heard of them", "weight": -0.2},
                ],
            }
        ],
    },
    "items": [
        {
            "rank": 1,
            "item_id": "sku-31",
            "kind": "product",
            "score": 0.412,
            "propensity": 1.0,
            "attributes": {"title": "Demlik", "category": "home/kitchen", "price_minor": 19900},
            "reasons": [
                {"code": "viewed_next", "text": "Others looked at this next", "weight": 0.3},
                {"code": "als", "text": "Fits your taste", "weight": 0.112},
            ],
        }
    ],
    "served_by": {
        "model": "rihla",
        "version": "7",
        "alias": "champion",
        "strategy": "personal",
        "variant": "default",
        "degraded": {"level": 0, "reason": None},
    },
    "consent": {"personalised": True, "channel": True},
    "reservation": {"status": "reserved", "reason": None},
    "decision_key": {"status": "first", "replaces": None, "missing": []},
}
EXPORT: Final = {
    "customer_id": "c-1017",
    "exported_at": "2025-08-11T09:30:00Z",
    "identities": ["c-1017", "anon:9f2c"],
    "described": {"stage": SLATE["stage"], "known": {}},
    "records": [{"customer_id": "c-1017", "consent": [], "links": [], "exposure": [], "keyed_decisions": []}],
    "stage_changes": [],
    "events": [EVENT],
    "decisions": [],
}
AUDIENCE: Final = {
    "stage": "retention",
    "customers": [
        {
            "customer_id": "c-1017",
            "phase": None,
            "at_risk": True,
            "since": "2025-08-11T09:12:44Z",
            "consent": {"personalisation": True, "email": False, "sms": True, "push": True},
        }
    ],
    "next_cursor": "eNprYJwIAAKbAP0",
}
CHANGES: Final = {
    "changes": [
        {
            "id": "07-1754904164000-0",
            "customer_id": "c-1017",
            "from": "transaction",
            "to": "retention",
            "phase": None,
            "at_risk": False,
            "since": "2025-08-11T09:12:44Z",
            "at": "2025-08-11T09:12:45Z",
            "cause": "clock",
            "definition_version": "2026.2",
            "consent": {"personalisation": True, "email": True, "sms": True, "push": True},
        }
    ],
    "next_cursor": "eNprYJwIAAKbAP0",
}
RECEIPT: Final = {
    "receipt_id": "5f0c8a5f1f2e4b6f9d2a7c3e1b0d4f68",
    "erased_at": "2025-08-11T09:30:00Z",
    "identities": 2,
    "status": "pending",
    "progress": {
        "online": {"status": "done", "at": "2025-08-11T09:30:00Z"},
        "log": {"status": "done", "at": "2025-08-11T09:30:02Z"},
        "log_files": {"status": "done", "at": "2025-08-11T09:41:17Z"},
        "append_only_file": {"status": "impossible", "at": None, "reason": "forbidden"},
        "model_rows": {"status": "pending", "at": None},
    },
}
TOLD: Final = {"event_id": "login-77", "accepted": 1, "duplicates": 0}
PROBLEM: Final = {
    "type": "urn:rihla:problem:invalid_request",
    "title": "Invalid input",
    "status": 422,
    "code": "invalid_request",
    "detail": "Input should be less than or equal to 100",
    "pointer": "/limit",
    "errors": [{"pointer": "/limit", "code": "less_than_equal", "detail": "Input should be less than or equal to 100"}],
}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """``openapi_extra`` of a route whose body is a request model."""
    return _body({"$ref": REF.format(model=model.__name__)})


def parameters_of(model: type[BaseModel] | None = None, path: str | None = None) -> dict[str, Any]:
    """``openapi_extra`` of a route with an id in its path and a query model; such routes read both themselves."""
    found: list[dict[str, Any]] = []
    if path is not None:
        note = "An id with a slash, and . or .., is written ~ + base64url."
        found.append({"name": path, "in": "path", "required": True, "schema": {"type": "string"}, "description": note})
    for name, schema in (model.model_json_schema()["properties"] if model else {}).items():
        found.append({"name": name, "in": "query", "required": False, "schema": schema})
    return {"parameters": found}


def one_or_many(what: str, example: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """``openapi_extra`` of a route that takes an object, a list of them, or the list under a name."""
    examples = {"one": {"value": example}, "many": {"value": [example, more]}}
    return _body({"description": f"One of {what}, or a list of them.", "type": ["object", "array"]}, examples)


def answers(example: object, *statuses: int, ok: int = 200, media: str = "application/json") -> dict[int | str, Any]:
    """``responses`` of a route: the good one with an example, and the problems it may have."""
    problems: dict[int, Any] = {
        status: {"content": {MEDIA_TYPE: {"example": PROBLEM | {"status": status}}}} for status in statuses
    }
    named: dict[int | str, Any] = {
        status: {"description": "Problem (RFC 9457)", **content} for status, content in problems.items()
    }
    return {ok: {"description": "Done", "content": {media: {"example": example}}}, **named}


def describe(app: FastAPI) -> None:
    """Add the request models' schemas to the application's document."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            _, schemas = models_json_schema([(model, "validation") for model in BODIES], ref_template=REF)
            document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _body(schema: dict[str, Any], examples: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {"schema": schema} | ({"examples": examples} if examples else {})
    return {"requestBody": {"required": True, "content": {"application/json": content}}}
