"""Ending background tasks for sure."""

from __future__ import annotations

import asyncio
from typing import Any, Final

ASK_AGAIN_S: Final = 0.1


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended; redis-py swallows a cancellation that arrives together with an answer."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=ASK_AGAIN_S)
