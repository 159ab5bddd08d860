"""A TCP proxy that spoils what passes through it. Its verbs are named after Toxiproxy's toxics.

It runs in a thread of its own and is seeded: the same seed spoils the same bytes. Verbs act on what the
server answers, from the next chunk on; ``toxicity`` is the share of connections that they touch.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass, field, replace
from typing import Any, Self

CHUNK = 65_536


@dataclass(frozen=True)
class Toxic:
    """What is done to answers; the neutral one does nothing."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    slice_bytes: int = 0
    limit_bytes: int | None = None
    corrupt_share: float = 0.0
    is_blackhole: bool = False
    is_reset: bool = False
    toxicity: float = 1.0


@dataclass
class Proxy:
    """Listens on a port of the loopback and passes on to ``target``, a path of a Unix socket or a port."""

    target: str | int
    seed: int = 0
    port: int = field(default=0, init=False)
    n_connections: int = field(default=0, init=False)
    _toxic: Toxic = field(default_factory=Toxic, init=False)
    _open: set[asyncio.StreamWriter] = field(default_factory=set, init=False)
    _server: asyncio.Server | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def latency(self, ms: float, jitter_ms: float = 0.0, toxicity: float = 1.0) -> None:
        """Answers come later, by ``ms`` ± ``jitter_ms``."""
        self._set(latency_s=ms / 1000, jitter_s=jitter_ms / 1000, toxicity=toxicity)

    def slice(self, size: int) -> None:
        """Answers come in pieces of so many bytes."""
        self._set(slice_bytes=size)

    def limit(self, n_bytes: int) -> None:
        """Connections end after so many bytes of an answer."""
        self._set(limit_bytes=n_bytes)

    def corrupt(self, share: float) -> None:
        """Bytes of answers are replaced by others."""
        self._set(corrupt_share=share)

    def blackhole(self) -> None:
        """Answers never come; connections stay open."""
        self._set(is_blackhole=True)

    def reset(self) -> None:
        """Connections are reset in place of an answer."""
        self._set(is_reset=True)

    def down(self) -> None:
        """The port is closed, and so is every connection."""
        self._call(self._down())

    def up(self) -> None:
        """The port is open again and all is well."""
        self.heal()
        if self._server is None:
            self._call(self._listen())

    def heal(self) -> None:
        """Pass everything on as it comes; connections that were cut stay cut."""
        self._toxic = Toxic()

    def _set(self, **verbs: Any) -> None:
        self._toxic = replace(Toxic(), **verbs)

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in [*self._open]:
            writer.transport.abort()

    async def _close(self) -> None:
        await self._down()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        is_touched = self._dice.random()
        self._open.add(writer)
        try:
            there, back = await self._connect()
        except OSError:
            writer.transport.abort()
            self._open.discard(writer)
            return
        self._open.add(back)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, back))
                both.create_task(self._spoil(there, writer, is_touched))
        except* (OSError, EOFError):
            pass  # one side has gone, so the other one goes
        finally:
            for each in (writer, back):
                self._open.discard(each)
                each.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, int):
            return await asyncio.open_connection("127.0.0.1", self.target)
        return await asyncio.open_unix_connection(self.target)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        raise EOFError

    async def _spoil(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: float) -> None:
        while chunk := await reader.read(CHUNK):
            toxic = self._toxic if place < self._toxic.toxicity else Toxic()
            if toxic.is_reset:
                _reset(writer)
                raise EOFError
            if toxic.is_blackhole:
                continue
            if toxic.latency_s:
                await asyncio.sleep(max(0.0, toxic.latency_s + self._dice.uniform(-1, 1) * toxic.jitter_s))
            for part in self._parts(self._corrupted(chunk, toxic), toxic):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            if toxic.limit_bytes is not None:
                raise EOFError
        raise EOFError

    def _parts(self, chunk: bytes, toxic: Toxic) -> list[bytes]:
        if toxic.limit_bytes is not None:
            return [chunk[: toxic.limit_bytes]]
        size = toxic.slice_bytes or len(chunk)
        return [chunk[start : start + size] for start in range(0, len(chunk), size)]

    def _corrupted(self, chunk: bytes, toxic: Toxic) -> bytes:
        if not toxic.corrupt_share:
            return chunk
        dice = self._dice
        return bytes(dice.randrange(256) if dice.random() < toxic.corrupt_share else byte for byte in chunk)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: linger for no time."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
