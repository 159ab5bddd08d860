"""Telling of what goes on going wrong: when it begins, once a minute while it lasts, and when it is over.

A background process tries again every second or two. A store that is away for an hour would else fill the log with
thousands of lines that all say the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import structlog

from features.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_S: Final = 60.0
log = structlog.get_logger()


class Trouble:
    """One kind of trouble of one process; ``name`` is the work that it keeps from being done."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._fails, self._works_again, self._clock = f"{name}_failed", f"{name}_works_again", clock
        self._told: tuple[str, float] | None = None

    def failed(self, error: StoreError | OSError) -> None:
        """The work failed; the same cause is told of once a minute."""
        why = self._why(error)
        cause, now = str(why), self._clock()
        if self._told is not None and self._told[0] == cause and now - self._told[1] < EVERY_S:
            return
        self._told = cause, now
        tell = log.warning if isinstance(error, StoreError) else log.error
        tell(self._fails, **why)

    def succeeded(self) -> None:
        """The work was done."""
        if self._told is not None:
            self._told = None
            log.info(self._works_again)

    @staticmethod
    def _why(error: StoreError | OSError) -> dict[str, Any]:
        if isinstance(error, StoreError):
            return {"code": error.code, "reason": str(error.reason)}
        return {"why": error.strerror}
