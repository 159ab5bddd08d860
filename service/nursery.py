"""The process that the others are forked from, so that what they all import lies in memory once and is read once.

Run as a module by :class:`service.forked.Nursery`, with the number of the socket that it is asked on. It says ``READY``
once everything is imported; then each message names a module, and the answer is the id of a new process that runs it.
That process is a child of the supervisor and not of this one (it is forked by one that ends at once, and the supervisor
takes in orphans meanwhile), so that nothing that happens to this one matters to it.
"""

# ruff: noqa: E402 - as in service.worker: nothing but imports is made here
from __future__ import annotations

import gc

gc.disable()

import importlib
import os
import socket
import sys
from typing import Final

from setproctitle import setproctitle

import service.worker  # noqa: F401 - what a worker needs is in memory before it is asked for
from service.lifeline import end_with_parent

READY: Final = b"ready"
MAX_NAME: Final = 256
GO: Final = b"go"


def main() -> None:
    """Fork until the supervisor closes the socket; in a fork, become what was asked for."""
    end_with_parent()
    gc.freeze()  # a collection in a fork would write to what is shared
    module = _asked(socket.socket(fileno=int(sys.argv[1])))
    if module is None:
        return
    os.setsid()  # as for what is started afresh: Ctrl-C in a terminal goes to the supervisor
    setproctitle(f"{sys.executable} -m {module}")
    sys.argv = [module]
    gc.enable()
    importlib.import_module(module).main()


def _asked(line: socket.socket) -> str | None:
    """In a fork the module to run; None in this process, at its end."""
    with line:
        line.sendall(READY)
        while name := line.recv(MAX_NAME):
            ours, theirs = socket.socketpair()
            if _is_fork():
                ours.close()
                _introduce(theirs)
                return name.decode()
            theirs.close()
            with ours:
                line.sendall(ours.recv(MAX_NAME))
                ours.sendall(GO)
    return None


def _is_fork() -> bool:
    """Fork; what is between the two has ended before this process goes on, so that the fork has been taken in."""
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return False
    try:
        child = os.fork()
    except OSError:
        os._exit(1)
    if child:
        os._exit(0)
    return True


def _introduce(line: socket.socket) -> None:
    """Say one's id and wait until the supervisor knows it; a process that nobody knows ends."""
    with line:
        line.sendall(str(os.getpid()).encode())
        if line.recv(len(GO)) != GO:
            os._exit(0)


if __name__ == "__main__":
    main()
