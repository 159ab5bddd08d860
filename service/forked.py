"""Children that are forked from a process with everything imported, where the system can do that; else started afresh.

Two workers that import for themselves hold everything twice. Forked, they share what none of them writes to.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from service.children import Child, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_CHILD_SUBREAPER: Final = 36
_MAX_MESSAGE: Final = 32
PATIENCE_S: Final = 10.0
log = structlog.get_logger()


def can_fork() -> bool:
    """Whether this system lets a process take in orphans and wait for them without a thread each."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


@dataclass
class Nursery(Child):
    """The process that others are forked from. Where it is away they are started afresh."""

    is_ready: bool = field(default=False, init=False)
    _line: socket.socket | None = field(default=None, init=False)
    _readiness: asyncio.Task[None] | None = field(default=None, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def forked(self, module: str) -> Process | None:
        """A new process that runs a module; None where there is nothing to fork it from."""
        async with self._turn:
            if not self.is_ready or self._line is None:
                return None
            with _taking_in_orphans():
                pid = await self._answer(self._line, module)
            return Forked(pid) if pid else None

    async def spawn(self) -> Process:
        """Start it, with a socket of its own."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            process = await self.executed(str(theirs.fileno()), pass_fds=(theirs.fileno(),))
        self._close()
        self._line, self._readiness = ours, asyncio.create_task(self._look_out(ours))
        return process

    async def stop(self) -> None:
        """Ask it to end and wait; what was forked goes on."""
        await super().stop()
        if self._readiness is not None:
            self._readiness.cancel()
        self._close()

    async def _look_out(self, line: socket.socket) -> None:
        self.is_ready = bool(await _received(line))

    async def _answer(self, line: socket.socket, module: str) -> int:
        """Id of the new process, 0 where none came. Who does not answer is ended, so that there is no late answer."""
        loop = asyncio.get_running_loop()
        answer = asyncio.ensure_future(_received(line))
        try:
            await loop.sock_sendall(line, module.encode())
            await asyncio.wait_for(asyncio.shield(answer), PATIENCE_S)
        except TimeoutError:
            log.warning("child_killed", child=self.name)
            if self._process is not None:
                self._process.kill()
        except OSError:
            log.warning("nursery_away")
        found = await answer
        if not found:
            self._close()
        return int(found or 0)

    def _close(self) -> None:
        self.is_ready = False
        if self._line is not None:
            self._line.close()
            self._line = None


async def _received(line: socket.socket) -> bytes:
    """One message; nothing where the other side is gone."""
    try:
        return await asyncio.get_running_loop().sock_recv(line, _MAX_MESSAGE)
    except OSError:
        return b""


@contextmanager
def _taking_in_orphans() -> Iterator[None]:
    """Orphans among this process's descendants become its children meanwhile."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0)


class Forked:
    """A child that was not started with ``exec``; to be waited for as those are."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._file = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._file, self._reap)

    async def wait(self) -> int:
        """Its exit code, negative for a signal."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Nothing where it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()
