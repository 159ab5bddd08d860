"""One worker behind a real port, or a whole ``rihla serve``, as processes that a test may hurt."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.service.shop import children_of, until

ROOT = Path(__file__).parents[2]
SERVE = "from features.settings import load_settings; from service.supervisor import run; run(load_settings())"
WORKER = "import service.worker; service.worker.main()"


@dataclass(frozen=True)
class Served:
    """A running service."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=10)

    def children(self, name: str = "") -> list[int]:
        return [pid for pid, command in children_of(self.process.pid).items() if name in command]

    def log(self) -> str:
        return (self.home / "service.log").read_text()

    def metric(self, start: str) -> float:
        """Sum of the numbers whose line begins so."""
        lines = httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start))

    def memory_mib(self, pid: int | None = None) -> float:
        lines = Path(f"/proc/{pid or self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def n_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def worker(home: Path, redis_url: str, **settings: object) -> Iterator[Served]:
    """One worker over a store of one's own."""
    with _running(WORKER, home, {"RIHLA_REDIS_URL": redis_url, **_named(settings)}) as served:
        yield served


@contextmanager
def whole(home: Path, **settings: object) -> Iterator[Served]:
    """The supervisor with all that it starts."""
    with _running(SERVE, home, _named(settings)) as served:
        yield served


def _named(settings: dict[str, object]) -> dict[str, str]:
    return {f"RIHLA_{name.upper()}": str(value) for name, value in settings.items()}


@contextmanager
def _running(code: str, home: Path, settings: dict[str, str]) -> Iterator[Served]:
    port = free_port()
    environment = {"RIHLA_HOME": str(home), "RIHLA_PORT": str(port), "OPENBLAS_NUM_THREADS": "1", **settings}
    with (home / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    served = Served(home, port, process)
    try:
        until(lambda: _answers(served), 60)
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(served: Served) -> bool:
    assert served.process.poll() is None, served.log()
    try:
        return httpx.get(f"{served.url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
