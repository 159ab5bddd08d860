"""Ending background tasks for sure, and telling of those that failed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from service.logs import places_of

ASK_AGAIN_S: Final = 0.1
log = structlog.get_logger()


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended; redis-py swallows a cancellation that arrives together with an answer."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=ASK_AGAIN_S)


def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Exception handler of a loop: the kind and place of what nobody waited for, never its text."""
    error = context.get("exception")
    if error is not None:
        log.error("task_failed", error=type(error).__name__, places=places_of(error))
