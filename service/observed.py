"""Counts requests and their time by route, from outside everything else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from service.metrics import REQUESTS, SECONDS, child

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Observed:
    """Plain ASGI: no task, no buffer a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, sent)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            child(REQUESTS, route, status).inc()
            child(SECONDS, route).observe(time.perf_counter() - started)
