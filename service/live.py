"""Live requests before bulk work, and one decision at a time between two looks at who else has come.

A decision takes a millisecond or more of the loop. When many states arrive together, deciding them in a row
would keep everybody else out, refusals included; so each takes its turn, and the loop runs in between.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

LONGEST_WAIT_S: Final = 0.05
LOOK_EVERY_S: Final = 0.001
ABOUT_S: Final = 0.25
"""Who was here so short a time ago will come again."""
FIRST_PACE_S: Final = 0.002
MOST_PACE_S: Final = 0.01
SMOOTHING: Final = 0.05


class Turn:
    """Held by the live request that decides, while no other does.

    Attributes
    ----------
    pace_s : float
        Seconds from one decision to the next while some wait for their turn: how long a slow store keeps them
        says nothing about it.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._n_waiting = 0
        self.pace_s, self._passed_at = FIRST_PACE_S, 0.0

    async def __aenter__(self) -> None:
        self._n_waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._n_waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._note_pace(asyncio.get_running_loop().time())
        self._lock.release()

    def _note_pace(self, now: float) -> None:
        """From one turn to the next, where somebody waited for it."""
        if self._passed_at:
            took_s = min(now - self._passed_at, MOST_PACE_S)
            self.pace_s += SMOOTHING * (took_s - self.pace_s)
        self._passed_at = now if self._n_waiting else 0.0


class Live:
    """The live requests under way in this worker; entered by each of them.

    Attributes
    ----------
    n : int
        How many there are.
    turn : Turn
        To decide.
    only_line : asyncio.Lock
        Held by the one line of a batch that is under way beside them.
    """

    def __init__(self) -> None:
        self.n = 0
        self.turn = Turn()
        self.only_line = asyncio.Lock()
        self._left_at = -ABOUT_S

    def __enter__(self) -> None:
        self.n += 1

    def __exit__(self, *_: object) -> None:
        self.n -= 1
        self._left_at = time.monotonic()

    @property
    def is_about(self) -> bool:
        """Whether a live request is under way, or one was a moment ago."""
        return self.n > 0 or time.monotonic() - self._left_at < ABOUT_S

    async def let_pass(self) -> None:
        """Wait until no live request is under way, for 50 ms at most, so that bulk work goes on under any load."""
        await asyncio.sleep(0)
        deadline = asyncio.get_running_loop().time() + LONGEST_WAIT_S
        while self.n and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - cheap for the live ones
            await asyncio.sleep(LOOK_EVERY_S)
