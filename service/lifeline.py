"""A child ends when its parent does, even one that was killed and could not say goodbye."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Final

PARENT: Final = "RIHLA_PARENT_PID"
_PR_SET_PDEATHSIG: Final = 1
_LOOK_EVERY_S: Final = 0.5


def end_with_parent() -> None:
    """Send this process SIGTERM as soon as the process that is named in the environment is gone.

    On Linux the kernel does it, and goes on doing it after an ``exec``; elsewhere a thread looks.
    """
    parent = int(os.environ.get(PARENT, os.getppid()))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGTERM)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
