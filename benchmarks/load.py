"""The load generator, a process of its own: a job as JSON on standard input, what it found on standard output.

It speaks just enough HTTP/1.1 to send prepared requests over kept connections, because on two cores a
comfortable client would take from the server what is to be measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvloop

from benchmarks.arithmetic import OpenLoop, open_loop, schedule

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 10.0
LEAD_S = 0.2
OPEN_CONNECTIONS = 64


class Job(msgspec.Struct, frozen=True):
    """What to send: ``rate`` None keeps ``connections`` busy, else so many requests a second leave, come what may."""

    port: int
    requests: list[bytes]
    seconds: float
    connections: int = 8
    rate: float | None = None
    status: int = 200


class Found(msgspec.Struct, frozen=True):
    """How a run went; ``open`` for a constant rate only."""

    n: int
    n_failed: int
    seconds: float
    open: OpenLoop | None = None

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.n - self.n_failed) / self.seconds


class Connection(asyncio.Protocol):
    """One kept connection with at most one request under way."""

    def __init__(self, free: Callable[[Connection, int], None]) -> None:
        self._free, self._buffer = free, b""
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:") + len(b"content-length:")
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._buffer) >= end + 4 + length:
            self._buffer = b""
            self._free(self, int(head[9:12]))

    def send(self, raw: bytes) -> None:
        assert self.transport is not None
        self.transport.write(raw)


def get(path: str) -> bytes:
    """A GET request as bytes."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """A POST request with a JSON body, as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def generate(job: Job) -> Found:
    """Run a job in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load"]
    root = Path(__file__).parents[1]
    raw, limit_s = msgspec.msgpack.encode(job), job.seconds + 60
    done = subprocess.run(command, input=raw, stdout=subprocess.PIPE, check=True, cwd=root, timeout=limit_s)
    return msgspec.msgpack.decode(done.stdout, type=Found)


async def closed(job: Job) -> Found:
    """Keep some connections busy for a while: throughput."""
    loop = asyncio.get_running_loop()
    finished = loop.create_future()
    n = n_failed = at = under_way = 0
    end = time.perf_counter() + job.seconds

    def answered(connection: Connection, status: int) -> None:
        nonlocal n, n_failed, at, under_way
        n, n_failed = n + 1, n_failed + (status != job.status)
        if time.perf_counter() < end and at < len(job.requests):
            connection.send(job.requests[at])
            at += 1
            return
        under_way -= 1
        if not under_way and not finished.done():
            finished.set_result(None)

    pool = await _connect(job.port, job.connections, answered)
    begun = time.perf_counter()
    for connection in pool[: len(job.requests)]:
        connection.send(job.requests[at])
        at, under_way = at + 1, under_way + 1
    await asyncio.wait_for(finished, job.seconds + PATIENCE_S)
    return Found(n, n_failed, time.perf_counter() - begun)


async def constant(job: Job) -> Found:
    """Send at a constant rate whose schedule is fixed before the start: latency."""
    assert job.rate is not None
    loop = asyncio.get_running_loop()
    finished = loop.create_future()
    moments = schedule(job.rate, job.seconds)
    sent, done = [0.0] * len(moments), [0.0] * len(moments)
    waiting: deque[int] = deque()
    under_way: dict[Connection, int] = {}
    n_done = n_failed = 0

    def answered(connection: Connection, status: int) -> None:
        nonlocal n_done, n_failed
        done[under_way.pop(connection)] = time.perf_counter()
        n_done, n_failed = n_done + 1, n_failed + (status != job.status)
        idle.append(connection)
        if n_done == len(moments):
            finished.set_result(None)
        dispatch()

    def dispatch() -> None:
        while waiting and idle:
            number, connection = waiting.popleft(), idle.pop()
            under_way[connection] = number
            connection.send(job.requests[number % len(job.requests)])

    idle = await _connect(job.port, OPEN_CONNECTIONS, answered)
    begun = time.perf_counter() + LEAD_S
    for number, after in enumerate(moments):
        if (pause := begun + after - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        sent[number] = time.perf_counter()
        waiting.append(number)
        dispatch()
    await asyncio.wait_for(finished, PATIENCE_S)
    found = open_loop([begun + after for after in moments], sent, done, n_failed)
    return Found(len(moments), n_failed, job.seconds, found)


async def _connect(port: int, n: int, answered: Callable[[Connection, int], None]) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Connection(answered), "127.0.0.1", port) for _ in range(n)]
    return [connection for _, connection in made]


def main() -> None:
    """Do the job that is on standard input."""
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    found = uvloop.run(closed(job) if job.rate is None else constant(job))
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))


if __name__ == "__main__":
    main()
