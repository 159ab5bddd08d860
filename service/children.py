"""Child processes that are kept running: started, started again when they end, ended when asked."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from service.lifeline import PARENT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

SHORT_LIFE_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
log = structlog.get_logger()


class Process(Protocol):
    """What is known of a process that was started."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""

    async def wait(self) -> int:
        """The exit code, once there is one."""

    def send_signal(self, signal: signal.Signals, /) -> None:
        """Nothing where it has ended."""

    def kill(self) -> None:
        """End it at once."""


@dataclass
class Child:
    """One process that should always run.

    ``before`` is called before every start, ``after`` with the id of a process that ended. ``fork`` makes a process
    that runs a module; where it makes none, one is started afresh.
    """

    name: str
    module: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    before: Callable[[], None] | None = None
    after: Callable[[int], None] | None = None
    fork: Callable[[str], Awaitable[Process | None]] | None = None
    patience_s: float = 10.0
    _process: Process | None = field(default=None, init=False)
    _keeper: asyncio.Task[None] | None = field(default=None, init=False)

    def start(self) -> None:
        """Keep it running from now on."""
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ask it to end, wait, and end it."""
        if self._keeper is None:
            return
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), self.patience_s)
        except TimeoutError:
            log.warning("child_killed", child=self.name)
            self._process.kill()
            await self._process.wait()

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            if self.before is not None:
                await asyncio.to_thread(self.before)
            born = time.monotonic()
            self._process = await self.spawn()
            code = await self._process.wait()
            if self.after is not None:
                self.after(self._process.pid)
            log.error("child_ended", child=self.name, code=code)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S) if time.monotonic() - born < SHORT_LIFE_S else FIRST_PAUSE_S
            await asyncio.sleep(pause_s)

    async def spawn(self) -> Process:
        """Start it."""
        if self.fork is not None and (forked := await self.fork(self.module)):
            return forked
        return await self.executed(*self.arguments)

    async def executed(self, *arguments: str, **more: Any) -> Process:
        """A process of its own that runs the module."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.module, *arguments),
            env={**os.environ, **self.environment, "PYTHONPATH": _python_path(), PARENT: str(os.getpid())},
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal goes to the supervisor, which ends the others in order
            **more,
        )


def _python_path() -> str:
    """The directory that this program was loaded from, before what the caller has set."""
    ours = str(Path(__file__).parents[1])
    return os.pathsep.join(part for part in (ours, os.environ.get("PYTHONPATH", "")) if part)
