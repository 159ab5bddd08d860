"""Ending background tasks for sure, and telling of those that failed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from features.errors import StoreError
from service.logs import places_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sized

ASK_AGAIN_S: Final = 0.1
log = structlog.get_logger()


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended; redis-py swallows a cancellation that arrives together with an answer."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=ASK_AGAIN_S)


async def until_empty(waiting: Sized, deliver: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Deliver at a pace while anything waits; a store that is away is asked again."""
    while waiting:
        await asyncio.sleep(every_s)
        with suppress(StoreError):
            await deliver()


def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Exception handler of a loop: the kind and place of what nobody waited for, never its text."""
    error = context.get("exception")
    if error is not None:
        log.error("task_failed", error=type(error).__name__, places=places_of(error))
