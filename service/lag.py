"""How late the event loop runs. A time-out that this process is itself to blame for says nothing about the store."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

from service.metrics import LOOP_LAG

TICK_S: Final = 0.01
NOTABLE_S: Final = 0.005
KEEP_S: Final = 5.0


class LoopLag:
    """A task that wakes every 10 ms and notes how much too late it was; without the task there is no lag."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque()
        self._due: float | None = None

    async def watch(self) -> None:
        """Measure for ever."""
        try:
            while True:
                self._due = time.monotonic() + TICK_S
                await asyncio.sleep(TICK_S)
                self._note(time.monotonic())
        finally:
            self._due = None

    def since(self, moment: float) -> float:
        """Seconds by which the loop was held up, at most, at any time since a moment (monotonic)."""
        now = time.monotonic()
        running = 0.0 if self._due is None else max(0.0, now - self._due)
        worst = running
        for at, late in reversed(self._late):
            if at < moment:
                break
            worst = max(worst, late)
        return worst

    def _note(self, now: float) -> None:
        late = now - (self._due or now)
        LOOP_LAG.observe(late)
        if late >= NOTABLE_S:
            self._late.append((now, late))
        while self._late and self._late[0][0] < now - KEEP_S:
            self._late.popleft()
