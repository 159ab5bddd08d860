"""What every process behind the workers does the same: its lifeline, settings, logs, and an end when asked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from features.settings import Settings, load_settings
from service.lifeline import end_with_parent
from service.logs import configure_logs
from service.tasks import report

NICENESS: Final = 5
"""Those who answer requests go first."""
Body = Callable[[Settings, asyncio.Event], Awaitable[None]]


def run_process(name: str, body: Body) -> None:
    """Run a process until it is asked to end; ``body`` gets the settings and the event that says so."""
    end_with_parent()
    os.nice(NICENESS)
    settings = load_settings()
    configure_logs(settings.log_level, name)
    asyncio.run(_until_asked(body, settings))


async def wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until it is time to end."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def _until_asked(body: Body, settings: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(report)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    await body(settings, stop)
