"""The floor under a slate's cost: the same server and framework, one Redis GET, the same bytes out.

Run as a module: ``python -m benchmarks.floor REDIS_URL PORT``. The answer is what ``bench:slate`` holds.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop
from fastapi import FastAPI, Request, Response
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from redis.asyncio import Redis

KEY = "bench:slate"


def create_app(url: str) -> FastAPI:
    """An application of one route."""
    app, store = FastAPI(default_response_class=Response), Redis.from_url(url)

    async def slate(_: Request) -> Response:
        return Response(await store.get(KEY), media_type="application/json")

    app.add_api_route("/slate", slate)
    return app


async def serve(url: str, port: int) -> None:
    server = Server(
        create_app(url),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, server.stop)
    await server.serve()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
