"""A store and an application a test module, both real: Valkey on a socket, ASGI without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from features.settings import Settings, load_settings
from service.app import app_of
from service.bootstrap import Program, assemble, running
from service.clock import Clock, wall_clock
from tests.service.shop import OwnStore, publish

Body = Callable[["Caller"], Coroutine[Any, Any, Any]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def store(home: Path) -> Iterator[OwnStore]:
    own = OwnStore(home)
    own.start()
    yield own
    own.stop()


@pytest.fixture
def redis_client(store: OwnStore) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(store.url) as client:
        yield client


@pytest.fixture
def settings(home: Path, store: OwnStore) -> Settings:
    """Settings of an empty store and a published bundle."""
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
    publish(home)
    return load_settings(home=home, redis_url=store.url)


class Caller:
    """An HTTP client of one application, and its parts."""

    def __init__(self, program: Program, http: httpx.AsyncClient) -> None:
        self.program, self.http = program, http

    async def slate(self, customer_id: str = "c-1", **options: Any) -> dict[str, Any]:
        answer = await self.http.post("/v1/recommendations", json={"subject": {"customer_id": customer_id}, **options})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def known(self, customer_id: str = "c-1") -> dict[str, Any]:
        for _ in range(5):  # a read has 50 ms, which a busy machine may need for something else
            answer = await self.http.get(f"/v1/customers/{customer_id}")
            if answer.status_code != 503:
                break
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def send(self, *events: dict[str, Any]) -> dict[str, Any]:
        for _ in range(5):  # a write has 100 ms; after a 503 a caller sends the same events again
            answer = await self.http.post("/v1/events", json=list(events))
            if answer.status_code != 503:
                break
            await asyncio.sleep(0.5)
        assert answer.status_code == 202, answer.text
        return answer.json()


@asynccontextmanager
async def calling(settings: Settings, clock: Clock = wall_clock) -> AsyncIterator[Caller]:
    """One worker, without its port."""
    program = assemble(settings, clock)
    app = app_of(program)
    async with running(program):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        patient = {"x-deadline-ms": "1000"}  # on a busy machine a first slate takes longer than callers wait
        async with httpx.AsyncClient(transport=transport, base_url="http://rihla", headers=patient) as http:
            yield Caller(program, http)


@pytest.fixture
def with_service(settings: Settings) -> Callable[[Body], Any]:
    """Run a coroutine with a caller of a fresh worker."""

    async def within(body: Body) -> Any:
        async with calling(settings) as caller:
            return await body(caller)

    return lambda body: asyncio.run(within(body))
