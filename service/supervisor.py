"""``rihla serve``: starts the store, the workers and those who work behind them, and ends them all again.

The order of starting is that of need: what others are forked from and the store, workers, then drainer, sweeper and
follower, which would only compete for the processor while the workers come up. Ending goes the other way round.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import structlog

from features.errors import InputError
from features.settings import pepper_of
from service.children import Child
from service.current import REPORT
from service.embedded import EmbeddedStore
from service.forked import Nursery, can_fork
from service.logs import configure_logs
from service.metrics import DIRECTORY, forget_process
from service.tasks import end
from service.to_disk import keep_on_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from features.settings import Settings

PREPARED_WITHIN_S: Final = 120.0
"""The store, and what others are forked from, which compiles for a minute where nothing was compiled before."""
WORKER_PATIENCE_S: Final = 30.0
LOOK_EVERY_S: Final = 0.05
log = structlog.get_logger()


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code.

    Raises
    ------
    InputError
        The home or the port is in use.
    """
    configure_logs(settings.log_level, "supervisor")
    settings.home.mkdir(parents=True, exist_ok=True)
    with locked(settings.home):
        check_port(settings.host, settings.port)
        pepper_of(settings)
        return asyncio.run(_supervise(settings))


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold a home for one supervisor; the system lets go of the lock when the process ends.

    Raises
    ------
    InputError
        Another process holds it.
    """
    with (home / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{home}: expected a home that no other rihla serve uses", pointer="/home") from None
        yield


def check_port(host: str, port: int) -> None:
    """See that nobody listens where the workers will, who share their port and would not notice.

    Raises
    ------
    InputError
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise InputError(f"{host}:{port}: expected a free port ({error.strerror})", pointer="/port") from None


async def _supervise(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    store = EmbeddedStore(settings.home) if settings.redis_url is None else None
    children = _children(settings, store)
    syncing = asyncio.create_task(keep_on_disk(store.directory)) if store else None
    begun: list[Child] = []
    try:
        for child, is_up, patience_s in _stages(children, settings, store):
            child.start()
            begun.append(child)
            if is_up is not None:
                await _until(is_up, stop, patience_s)
            if stop.is_set():
                return 0
        log.info("serving", url=f"http://{settings.host}:{settings.port}", workers=settings.workers)
        await stop.wait()
        return 0
    finally:
        await _end(begun)
        await end(*filter(None, [syncing]))
        log.info("ended")


Stage = tuple[Child, "Callable[[], bool] | None", float]


def _stages(children: list[Child], settings: Settings, store: EmbeddedStore | None) -> Iterator[Stage]:
    """Children in the order of starting; some must be up before the next."""
    workers = [child for child in children if child.name.startswith("worker")]
    last_before = children[: children.index(workers[0])][-1:]
    nurseries = [child for child in children if isinstance(child, Nursery)]

    def is_prepared() -> bool:
        return (store is None or store.answers()) and all(nursery.is_ready for nursery in nurseries)

    for child in children:
        if child in last_before:
            yield child, is_prepared, PREPARED_WITHIN_S
        elif child is workers[-1]:
            yield child, lambda: _listens(settings), WORKER_PATIENCE_S
        else:
            yield child, None, 0


def _children(settings: Settings, store: EmbeddedStore | None) -> list[Child]:
    metrics = _fresh(settings.home / "metrics")
    (settings.home / REPORT).unlink(missing_ok=True)
    url = settings.redis_url or (store.url if store else "")
    environment = environment_of(settings, redis_url=url) | {DIRECTORY: str(metrics), "OPENBLAS_NUM_THREADS": "1"}

    def ended(pid: int) -> None:
        forget_process(pid, str(metrics))

    nursery = Nursery("nursery", "service.nursery", environment, after=ended) if can_fork() else None

    def forked(name: str, module: str) -> Child:
        return Child(name, f"service.{module}", environment, after=ended, fork=nursery.forked if nursery else None)

    children = [
        *(forked(f"worker-{n}", "worker") for n in range(1, settings.workers + 1)),
        *(forked(name, name) for name in ("drainer", "sweeper", "follower")),
    ]
    if store is not None:
        embedded = Child("store", "service.embedded", environment, (str(store.directory),), before=store.prepare)
        children.insert(0, embedded)
    return [nursery, *children] if nursery else children


def environment_of(settings: Settings, *, redis_url: str) -> dict[str, str]:
    """Settings as the environment of a child, so that every process reads the same ones."""
    plain = settings.model_dump(mode="json", exclude_none=True, exclude={"pepper", "signing_key"})
    plain |= {"home": str(settings.home.resolve()), "redis_url": redis_url}
    for name, path in (("journey", settings.journey), ("fallback_slate", settings.fallback_slate)):
        if path is not None:
            plain[name] = str(path.resolve())
    if settings.pepper is not None:
        plain["pepper"] = settings.pepper.get_secret_value()
    return {f"RIHLA_{name.upper()}": str(value) for name, value in plain.items()}


async def _until(is_up: Callable[[], bool], stop: asyncio.Event, patience_s: float) -> None:
    """Wait until a child is up, or it is time to end; one that takes too long is reported and goes on trying."""
    deadline = time.monotonic() + patience_s
    while not await asyncio.to_thread(is_up):
        if stop.is_set():
            return
        if time.monotonic() > deadline:
            log.error("slow_start", waited_s=patience_s)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_EVERY_S)


async def _end(children: list[Child]) -> None:
    """Workers together, then those behind them, the store last."""
    by_turn = [
        [child for child in children if child.name.startswith("worker")],
        [child for child in children if child.name in {"nursery", "drainer", "sweeper", "follower"}],
        [child for child in children if child.name == "store"],
    ]
    for turn in by_turn:
        await asyncio.gather(*(child.stop() for child in turn))


def _listens(settings: Settings) -> bool:
    """Whether a worker answers."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - where to ask, not bind
    try:
        with socket.create_connection((host, settings.port), timeout=1) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def _fresh(directory: Path) -> Path:
    """An empty directory: numbers of an earlier run would be added to this one's."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    os.chmod(directory, 0o700)  # noqa: PTH101 - reads as one sentence with the line above
    return directory
