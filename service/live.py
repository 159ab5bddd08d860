"""Live requests before bulk work: a batch decides a slate only when nobody waits for an answer, or has waited long."""

from __future__ import annotations

import asyncio
from typing import Final

LONGEST_WAIT_S: Final = 0.02
LOOK_EVERY_S: Final = 0.001


class Live:
    """The live requests under way in this worker; entered by each of them."""

    def __init__(self) -> None:
        self._n = 0

    def __enter__(self) -> None:
        self._n += 1

    def __exit__(self, *_: object) -> None:
        self._n -= 1

    async def let_pass(self) -> None:
        """Wait until no live request is under way, for 20 ms at most, so that bulk work goes on under any load."""
        await asyncio.sleep(0)
        deadline = asyncio.get_running_loop().time() + LONGEST_WAIT_S
        while self._n and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - cheap for the live ones
            await asyncio.sleep(LOOK_EVERY_S)
