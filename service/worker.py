"""One worker: an event loop, a granian listener that shares the port with its siblings, the application.

Run as a module by the supervisor, which passes the settings through the environment.
"""

# ruff: noqa: E402 - a seventh of a start went into collecting while nothing but imports was made
from __future__ import annotations

import gc

gc.disable()

import asyncio
import signal
from typing import TYPE_CHECKING

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from features.settings import load_settings
from service.app import create_app
from service.lifeline import end_with_parent
from service.logs import configure_logs
from service.tasks import report

if TYPE_CHECKING:
    from features.settings import Settings

HEADER_READ_TIMEOUT_MS = 10_000
BACKLOG = 1024
YOUNG = 5_000
"""Objects made since the last collection that call for the next one.

A state that is read is some hundreds of tuples: by default (700) nearly every event looked through those of the others.
"""


async def serve(settings: Settings) -> None:
    """Answer requests until a signal asks to end; what is under way is finished first."""
    server = Server(
        create_app(settings),
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT_MS),
        backlog=BACKLOG,
        websockets=False,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(report)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, server.stop)
    gc.freeze()  # what was imported lives as long as the process; looking at it again only costs time
    gc.set_threshold(YOUNG)
    gc.enable()
    await server.serve()


def main() -> None:
    """Run one worker."""
    end_with_parent()
    settings = load_settings()
    configure_logs(settings.log_level, "worker")
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
