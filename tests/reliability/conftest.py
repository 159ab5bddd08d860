"""A real store that a test may hurt, how long its faults last, and the table of what was measured.

``RELIABILITY=full`` (``make reliability``) runs every row at its full length; otherwise a short set with
shortened faults runs with the ordinary tests. ``RELIABILITY_TABLE=FILE`` writes the table in Markdown, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import redis
from rich.console import Console

from tests.reliability.served import Served
from tests.reliability.table import Row, markdown, table
from tests.service.shop import OwnStore, publish, until

IS_FULL = os.environ.get("RELIABILITY", "") == "full"
ROWS: list[Row] = []
MAX_GROWTH_MIB = 20.0
SPARE_FILES = 8
RECOVERY_S = 5.0
Record = Callable[[int, str, str, str], None]


class Size(NamedTuple):
    """How much of a fault is injected."""

    is_full: bool
    fault_s: float
    load_s: float
    writers: int
    rounds: int
    rate: float
    slack: float = 1.0
    """Bounds in time are multiplied by it: how much slower than alone this machine is just before the test."""


SHORT = Size(is_full=False, fault_s=2.0, load_s=2.0, writers=20, rounds=2, rate=30.0)
FULL = Size(is_full=True, fault_s=10.0, load_s=20.0, writers=200, rounds=20, rate=100.0)
WORK_S = 0.01
MOST_SLACK = 6.0


def slowness(n: int = 12) -> float:
    """Wall time by processor time of some small pieces of work, the second slowest: 1 on a machine of one's own."""
    found = []
    for _ in range(n):
        wall, processor = time.perf_counter(), time.process_time()
        while time.process_time() - processor < WORK_S:
            pass
        found.append((time.perf_counter() - wall) / WORK_S)
    return min(max(1.0, sorted(found)[-2]), MOST_SLACK)


class RedisServer(OwnStore):
    """The embedded store's own server, with the faults that happen to one."""

    kill9 = OwnStore.kill
    restart = OwnStore.start

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def used_bytes(self) -> int:
        with self.client() as client:
            return int(client.info("memory")["used_memory"])

    def fill(self) -> None:
        """Leave no room: nothing more can be written until :meth:`free`."""
        with self.client() as client:
            client.config_set("maxmemory", str(max(1, self.used_bytes() - 1)))

    def free(self) -> None:
        with self.client() as client:
            client.config_set("maxmemory", "0")


@pytest.fixture
def size() -> Size:
    return (FULL if IS_FULL else SHORT)._replace(slack=slowness())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("home")
    publish(made)
    return made


@pytest.fixture(scope="module")
def redis_server(home: Path) -> Iterator[RedisServer]:
    server = RedisServer(home)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def record() -> Record:
    """Put a figure into the table."""
    return lambda number, fault, target, measured: ROWS.append(Row(number, fault, target, measured))


@contextmanager
def unharmed(served: Served, *, pid: int | None = None) -> Iterator[None]:
    """What every row asserts beside its own figure: no traceback, nothing leaked, level 0 again."""
    with served.client() as http:
        for n in range(20):
            level_of(http, f"warm-{n}")
    memory, files = served.memory_mib(pid), served.n_files()
    yield
    started = time.monotonic()
    with served.client() as http:
        until(lambda: level_of(http, "after") == 0, 10)
    assert time.monotonic() - started <= RECOVERY_S
    until(lambda: served.n_files() <= files + SPARE_FILES, 10)
    assert served.memory_mib(pid) - memory < MAX_GROWTH_MIB
    for word in ("Traceback", "request_failed", "task_failed"):
        assert word not in served.log()


def level_of(http: httpx.Client, customer_id: str) -> int:
    answer = http.post("/v1/recommendations", json={"subject": {"customer_id": customer_id}})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["served_by"]["degraded"]["level"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Nothing runs beside a row; whole lengths only where they were asked for."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("alone")
    if not IS_FULL:
        left_out = [item for item in items if item.get_closest_marker("whole")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS and IS_FULL:
        Console(file=terminalreporter._tw._file, width=160).print(table(ROWS))
    if ROWS and (path := os.environ.get("RELIABILITY_TABLE")):
        Path(path).write_text(markdown(ROWS) + "\n")
