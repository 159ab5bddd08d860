"""``python -m benchmarks.asgi``: processor time of a request beside the floor's, within one process and in turns.

No server and no generator: the applications are called as a server calls them, eight requests at a time, over a store
of their own. On a machine that does other work this is what still compares.
"""

from __future__ import annotations

import asyncio
import os
import tempfile

os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="rihla-bench-")  # workers count in files, too

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from redis import Redis

from benchmarks import floor
from benchmarks.reservations import own_store
from benchmarks.shop import made
from features.settings import load_settings
from service.app import create_app
from service.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastapi import FastAPI

N_REQUESTS = 800
N_KEYED = 200
AT_ONCE = 8
ROUNDS = 3
Ask = tuple[str, bytes]


async def answer_to(app: FastAPI, ask: Ask) -> bytes:
    """The body of an answer to a path with a query."""
    path, query = ask
    sent: list[Any] = []
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
    }
    scope |= {"path": path, "raw_path": path.encode(), "query_string": query, "root_path": "", "headers": []}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    return b"".join(message.get("body", b"") for message in sent[1:])


async def cpu_us(app: FastAPI, asks: Sequence[Ask]) -> float:
    """Mean processor time of this process a request, µs."""
    waiting = iter(asks)

    async def one_of_them() -> None:
        for ask in waiting:
            await answer_to(app, ask)

    begun = time.process_time()
    await asyncio.gather(*(one_of_them() for _ in range(AT_ONCE)))
    return (time.process_time() - begun) * 1e6 / len(asks)


async def measured(home: Path, url: str) -> dict[str, float]:
    """The best of some rounds of each kind of request, in turns."""
    app, base = create_app(load_settings(home=home, redis_url=url)), floor.create_app(url)
    found: dict[str, float] = {}
    async with app.router.lifespan_context(app):
        keyed = [_ask(f"keyed-{n % N_KEYED}", b"decision_key=again") for n in range(N_REQUESTS)]
        await cpu_us(app, keyed[:N_KEYED])
        with Redis.from_url(url) as store:
            store.set(floor.KEY, await answer_to(app, keyed[0]))
        for number in range(ROUNDS):
            strangers = [_ask(f"nobody-{number}-{n}") for n in range(N_REQUESTS)]
            for name, one, asks in (
                ("floor", base, [("/slate", b"")] * N_REQUESTS),
                ("keyed repeat", app, keyed),
                ("popular", app, strangers),
            ):
                found[name] = min(found.get(name, float("inf")), await cpu_us(one, asks))
    return found


def lines(found: dict[str, float]) -> Iterator[str]:
    """The figures as text."""
    for name, us in found.items():
        yield f"{name:14}{us:6.0f} µs, the floor is {found['floor'] / us:.2f} of it"


def main() -> None:
    """Measure on a small shop, and print."""
    configure_logs("warning", "benchmarks")
    with tempfile.TemporaryDirectory() as directory:
        shop = made(Path(directory), 50_000, 1)
        with own_store(shop.home) as url:
            found = uvloop.run(measured(shop.home, url))
    print("\n".join(lines(found)))


def _ask(customer_id: str, query: bytes = b"") -> Ask:
    return f"/v1/customers/{customer_id}/recommendations", query


if __name__ == "__main__":
    main()
