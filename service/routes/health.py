"""How the service is, what it serves, what it counts."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service import metrics
from service.answers import encode
from service.bootstrap import Program
from service.openapi import answers

JSON = "application/json"
READY = {"status": "degraded", "degraded": True, "reasons": ["store_unavailable"], "model": "rihla", "version": "7"}


def router(program: Program) -> APIRouter:
    """Routes for probes, people and Prometheus."""
    routes = APIRouter()

    @routes.get("/healthz", tags=["health"], responses=answers({"status": "ok"}))
    async def healthy() -> Response:
        """The process lives."""
        return Response(encode({"status": "ok"}), media_type=JSON)

    @routes.get("/readyz", tags=["health"], responses=answers(READY))
    async def ready() -> Response:
        """Whether it answers in full, or degraded and why; either way it answers."""
        return Response(encode(await program.health.readiness()), media_type=JSON)

    @routes.get("/v1/model", tags=["model"], responses=answers({"model": "rihla", "version": "7"}))
    async def model() -> Response:
        """What is served and why."""
        return Response(encode(program.health.model()), media_type=JSON)

    @routes.get("/metrics", include_in_schema=False)
    async def numbers() -> Response:
        """Numbers of all workers in Prometheus' text format."""
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    return routes
