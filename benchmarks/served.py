"""The service and the floor as processes of their own, and what the system says of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from service.embedded import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SERVE = "from features.settings import load_settings; from service.supervisor import run; run(load_settings())"
START_S = 60.0
END_S = 20.0
LOOK_EVERY_S = 0.01


@dataclass(frozen=True)
class Served:
    """A running service with one worker."""

    home: Path
    port: int
    ready_s: float
    process: subprocess.Popen[bytes]

    @property
    def redis_url(self) -> str:
        """Address of its embedded store."""
        return EmbeddedStore(self.home).url

    def children(self) -> list[int]:
        """Process ids of all that the service runs beside its supervisor."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in found]

    def worker(self) -> int:
        """Process id of the worker."""
        return next(pid for pid in self.children() if b"service.worker" in Path(f"/proc/{pid}/cmdline").read_bytes())


@contextmanager
def service(home: Path) -> Iterator[Served]:
    """``rihla serve`` with one worker on a free port of the loopback; ended with all that it started."""
    port, begun = free_port(), time.monotonic()
    environment = {"RIHLA_HOME": str(home), "RIHLA_PORT": str(port), "RIHLA_WORKERS": "1", "RIHLA_LOG_LEVEL": "warning"}
    with _process([sys.executable, "-c", SERVE], environment, home / "service.log") as process:
        _until_answers(f"http://127.0.0.1:{port}/readyz", process)
        yield Served(home, port, time.monotonic() - begun, process)


@contextmanager
def floor(url: str, log: Path) -> Iterator[tuple[int, int]]:
    """Port and process id of the floor's server."""
    port = free_port()
    with _process([sys.executable, "-m", "benchmarks.floor", url, str(port)], {}, log) as process:
        _until_answers(f"http://127.0.0.1:{port}/slate", process)
        yield port, process.pid


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """What a process holds in memory, MiB.

    ``share`` counts a page that n processes map as an nth of it, ``resident`` as a whole one, both beside the mapped
    bundle; ``bundle`` is what is resident of that.
    """

    share: float
    resident: float
    bundle: float


def memory_of(pid: int) -> Memory:
    """Memory of a process (``smaps``: proportional and resident set size)."""
    share = resident = bundle = 0
    in_bundle = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            in_bundle = "/bundles/" in rest
        elif name == "Rss:" and in_bundle:
            bundle += int(rest.split()[0])
        elif name == "Rss:":
            resident += int(rest.split()[0])
        elif name == "Pss:" and not in_bundle:
            share += int(rest.split()[0])
    return Memory(share / 1024, resident / 1024, bundle / 1024)


@contextmanager
def _process(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    everything = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment, "PYTHONPATH": path}
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=everything, stdout=out, stderr=out, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the process ended with {process.returncode} before it answered {url}")
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own process, on the loopback
                if answer.status == 200 and b'"level":4' not in answer.read():
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass  # not yet
        time.sleep(LOOK_EVERY_S)
    raise RuntimeError(f"{url} did not answer within {START_S:.0f} s")
