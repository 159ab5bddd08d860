from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from service.store.clients import READS, redis_client
from service.store.shipment import shipped


def test_a_no_stands_in_its_place_among_the_answers_of_a_shipment(store):
    async def body():
        client = redis_client(store.url, READS)
        try:
            return await shipped(client, [("SET", "k", "text"), ("HGET", "k", "f"), ("GET", "k")], READS.answer_s)
        finally:
            await client.aclose()

    done, refused, found = asyncio.run(body())
    assert (done, found) == (b"OK", b"text")
    assert "WRONGTYPE" in str(refused)


def test_answers_that_came_too_late_are_read_by_nobody(store):
    async def body():
        client = redis_client(store.url, READS)
        try:
            with pytest.raises(TimeoutError):
                await shipped(client, [("BLPOP", "empty", "1"), ("PING",)], 0.02)
            return await shipped(client, [("ECHO", "mine")], 1.0)
        finally:
            await client.aclose()

    assert asyncio.run(body()) == [b"mine"]


class Swallowing:
    """A connection that keeps a cancellation to itself, as ``wait_for`` does when its result is there; and its pool."""

    def __init__(self) -> None:
        self.is_open, self.is_back = True, False

    async def get_connection(self):
        return self

    async def release(self, connection):
        self.is_back = connection is self

    async def disconnect(self, *, nowait):
        self.is_open = not nowait

    async def send_packed_command(self, raw):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return

    async def read_response(self, **_):
        await asyncio.sleep(60)


def test_a_time_out_that_the_client_swallowed_ends_the_shipment_all_the_same():
    connection = Swallowing()

    async def body():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(shipped(SimpleNamespace(connection_pool=connection), [("PING",)], 0.01), 5)

    asyncio.run(body())
    assert connection.is_back
    assert not connection.is_open
