"""A disk that takes its time: the thread with which a server waits for it is held up, and no other."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEIZE: Final = 0x4206
_INTERRUPT: Final = 0x4207
_ANY_THREAD: Final = 0x4000_0000
"""``__WALL``: a thread that was seized is waited for like a child, or its process never ends."""


@contextmanager
def killed_while_the_disk_is_slow(pid: int) -> Iterator[None]:
    """Nothing that a server hands to its syncing thread gets done; at the end it is killed (``ptrace``, Linux only)."""
    if sys.platform != "linux":
        pytest.skip("holds up a thread with ptrace")
    thread = _thread_of(pid, "bio_aof")
    for request in (_SEIZE, _INTERRUPT):
        _ptrace(request, thread)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        while os.WIFSTOPPED(os.waitpid(thread, _ANY_THREAD)[1]):
            pass


def _thread_of(pid: int, name: str) -> int:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return next(int(task.name) for task in tasks if (task / "comm").read_text().strip() == name)


def _ptrace(request: int, thread: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), None, None) == -1:
        pytest.skip(f"ptrace is not allowed here: {os.strerror(ctypes.get_errno())}")
