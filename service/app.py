"""The FastAPI application: routes, limits, errors, documentation. It holds no logic."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.responses import Response

from service import problems
from service.admission import Admission
from service.bootstrap import assemble, running
from service.clock import wall_clock
from service.direct import Direct, Way
from service.gate import Gate
from service.observed import Observed
from service.openapi import describe
from service.routes import customers, erasures, events, health, identities, items, recommendations, stages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

    from features.settings import Settings
    from service.bootstrap import Program
    from service.clock import Clock

MAX_BODY: Final = 64 << 10
NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
"""Spans would carry paths, and with them ids of customers; and each request looked whether somebody wants them."""


def create_app(settings: Settings, *, clock: Clock = wall_clock) -> FastAPI:
    """The application of one worker."""
    return app_of(assemble(settings, clock))


def app_of(program: Program) -> FastAPI:
    """The application over a worker's parts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with running(program):
            yield

    app = FastAPIOffline(  # its pages of documentation need no host on the internet
        title="Rihla",
        summary="What fits the place a customer has reached on their journey.",
        version="1",
        lifespan=lifespan,
        telemetry=NO_TELEMETRY,
        default_response_class=Response,
        redirect_slashes=False,
    )
    for module in (recommendations, events, customers, erasures, identities, stages, items, health):
        app.include_router(
            module.router(program), max_body_size=MAX_BODY
        )  # on the routes, so that a problem tells of it
    problems.install(app)
    app.add_middleware(Direct, ways=_direct_ways(program))
    gate = Gate(program.recommend.live, program.lag, is_away=lambda: program.calls.writes.is_barred)
    app.add_middleware(Admission, gate=gate)
    app.add_middleware(Observed)
    describe(app)
    return app


def _direct_ways(program: Program) -> tuple[Way, ...]:
    return (
        Way("GET", recommendations.PATH, recommendations.slate_of(program), MAX_BODY),
        Way("POST", recommendations.ASK_PATH, recommendations.asked_slate_of(program), MAX_BODY),
        Way("POST", events.PATH, events.taking_in(program), events.MAX_EVENTS_BODY),
    )
