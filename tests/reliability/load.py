"""Open-loop load in a process of its own: a job on standard input, what became of every request on standard output.

The schedule is fixed before the start and every latency counts from the intended moment, so that a stalled
server cannot hide its queue. Statuses are kept by request: 0 is a connection that broke.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import uvloop

from benchmarks.arithmetic import LATE_S, MAX_LATE_SHARE, percentile, schedule

LEAD_S = 0.2
PATIENCE_S = 15.0


class Stream(msgspec.Struct, frozen=True):
    """Requests of one kind, ``rate`` a second for ``seconds``, from ``after`` seconds on."""

    name: str
    rate: float
    seconds: float
    requests: list[bytes]
    after: float = 0.0
    connections: int = 64


class Job(msgspec.Struct, frozen=True):
    port: int
    streams: list[Stream]
    seed: int = 0


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """One request: due and sent (seconds after the start), its latency since it was due, its status and level."""

    due: float
    sent: float
    latency: float
    status: int
    level: int
    number: int


class Answers(list[Answer]):
    """What became of one stream's requests."""

    def where(self, *, status: int | None = None, since: float = 0.0, until: float = 1e9) -> Answers:
        return Answers(a for a in self if (status is None or a.status == status) and since <= a.due < until)

    def share(self, status: int = 200) -> float:
        return len(self.where(status=status)) / max(1, len(self))

    def level_share(self, level: int) -> float:
        return sum(a.level == level for a in self) / max(1, len(self))

    def quantile_ms(self, share: float) -> float:
        return 1000 * percentile([a.latency for a in self], share)

    @property
    def is_void(self) -> bool:
        """Whether the generator itself was too late for the run to say anything."""
        return sum(a.sent - a.due > LATE_S for a in self) > MAX_LATE_SHARE * len(self)


def post(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def run(job: Job) -> dict[str, Answers]:
    """Run a job; answers by stream, in the order of the schedule."""
    return finish(start(job), job)


class Run(NamedTuple):
    """A job under way."""

    process: subprocess.Popen[bytes]
    found: IO[bytes]


def start(job: Job) -> Run:
    """Begin a job and go on, to do something to the service meanwhile."""
    command = [sys.executable, "-m", "tests.reliability.load"]
    root = Path(__file__).parents[2]
    asked, found = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - they live as long as the run
    asked.write(msgspec.msgpack.encode(job))
    asked.seek(0)
    with asked:
        return Run(subprocess.Popen(command, stdin=asked, stdout=found, cwd=root), found)


def finish(run: Run, job: Job) -> dict[str, Answers]:
    """Wait for the end of a job; answers by stream, in the order of the schedule."""
    longest = max(stream.after + stream.seconds for stream in job.streams)
    assert run.process.wait(longest + PATIENCE_S + 30) == 0
    with run.found as file:
        file.seek(0)
        found = msgspec.msgpack.decode(file.read(), type=dict[str, list[Answer]])
    return {name: Answers(answers) for name, answers in found.items()}


class Connection(asyncio.Protocol):
    """One kept connection with at most one request under way; it knows just enough of HTTP/1.1."""

    def __init__(self) -> None:
        self._buffer = b""
        self._waiting: asyncio.Future[tuple[int, int]] | None = None
        self.transport: asyncio.WriteTransport | None = None
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._settle(0, -1)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head, body = self._buffer[:end].lower(), self._buffer[end + 4 :]
        if b"transfer-encoding: chunked" in head:
            is_whole = body.endswith(b"0\r\n\r\n")
        else:
            at = head.find(b"content-length:") + len(b"content-length:")
            is_whole = len(body) >= int(head[at:].split(b"\r\n", 1)[0])
        if is_whole:
            level = body.find(b'"level":')
            self._settle(int(head[9:12]), int(body[level + 8 : level + 9]) if level >= 0 else -1)

    def ask(self, raw: bytes) -> asyncio.Future[tuple[int, int]]:
        self._buffer, self._waiting = b"", asyncio.get_running_loop().create_future()
        assert self.transport
        self.transport.write(raw)
        return self._waiting

    def _settle(self, status: int, level: int) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result((status, level))


class Sender:
    """Sends one stream."""

    def __init__(self, port: int, stream: Stream) -> None:
        self._port, self._stream = port, stream
        self._free: deque[Connection] = deque()
        self._n_open = 0
        self._room = asyncio.Semaphore(stream.connections)
        self.answers: list[Answer | None] = []

    async def send(self, begun: float) -> None:
        stream = self._stream
        moments = [stream.after + at for at in schedule(stream.rate, stream.seconds)]
        self.answers = [None] * len(moments)
        tasks = []
        for number, due in enumerate(moments):
            if (pause := begun + due - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            tasks.append(asyncio.create_task(self._one(number, begun, due)))
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE_S)

    async def warm(self) -> None:
        for _ in range(min(8, self._stream.connections)):
            self._free.append(await self._connect())

    async def _one(self, number: int, begun: float, due: float) -> None:
        taken_up = time.perf_counter() - begun
        async with self._room:
            try:
                connection = await self._connection()
                requests = self._stream.requests
                status, level = await connection.ask(requests[number % len(requests)])
            except OSError:
                status, level = 0, -1
            else:
                if connection.is_open:
                    self._free.append(connection)
        latency = time.perf_counter() - begun - due
        self.answers[number] = Answer(due, taken_up, latency, status, level, number)

    async def _connection(self) -> Connection:
        """One that is still open: the service closes what is idle for long."""
        while self._free:
            if (connection := self._free.pop()).is_open:
                return connection
        return await self._connect()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
        return connection


async def work(job: Job) -> dict[str, list[Answer | None]]:
    senders = {stream.name: Sender(job.port, stream) for stream in job.streams}
    for sender in senders.values():
        await sender.warm()
    begun = time.perf_counter() + LEAD_S
    await asyncio.gather(*(sender.send(begun) for sender in senders.values()))
    return {name: sender.answers for name, sender in senders.items()}


def main() -> None:
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.msgpack.encode(uvloop.run(work(job))))


if __name__ == "__main__":
    main()
