from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
import uvloop

from service.store.clients import READS
from service.store.clients import redis_client as async_client
from service.store.shipment import Line, shipped


def test_a_no_stands_in_its_place_among_the_answers_of_a_shipment(store):
    async def body():
        client = async_client(store.url, READS)
        try:
            return await shipped(Line(client), [("SET", "k", "text"), ("HGET", "k", "f"), ("GET", "k")], READS.answer_s)
        finally:
            await client.aclose()

    done, refused, found = asyncio.run(body())
    assert (done, found) == (b"OK", b"text")
    assert "WRONGTYPE" in str(refused)


def test_answers_that_came_too_late_are_read_by_nobody(store):
    async def body():
        client = async_client(store.url, READS)
        line = Line(client)
        try:
            with pytest.raises(TimeoutError):
                await shipped(line, [("BLPOP", "empty", "1"), ("PING",)], 0.02)
            return await shipped(line, [("ECHO", "mine")], 1.0)
        finally:
            await client.aclose()

    assert asyncio.run(body()) == [b"mine"]


def test_shipments_share_a_connection_and_one_that_the_server_closed_is_made_anew(store, redis_client):
    async def body():
        client = async_client(store.url, READS)
        line = Line(client)
        try:
            ids = [(await shipped(line, [("CLIENT", "ID")], 1.0))[0] for _ in range(3)]
            redis_client.client_kill_filter(_id=ids[0])
            await asyncio.sleep(0.05)
            return ids, await shipped(line, [("CLIENT", "ID")], 1.0)
        finally:
            await client.aclose()

    ids, (another,) = asyncio.run(body())
    assert len(set(ids)) == 1
    assert another not in ids


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_answers_that_came_while_the_loop_was_held_up_are_read(store, run):
    async def body():
        client = async_client(store.url, READS)
        line = Line(client)
        try:
            await shipped(line, [("PING",)], 1.0)
            shipment = asyncio.create_task(shipped(line, [("ECHO", "mine")] * 3, 0.05))
            await asyncio.sleep(0)  # it is sent
            time.sleep(0.2)  # noqa: ASYNC251 - somebody else works
            return await shipment
        finally:
            await client.aclose()

    assert run(body()) == [b"mine"] * 3


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
            await asyncio.wait_for(shipped(Line(SimpleNamespace(connection_pool=connection)), [("PING",)], 0.01), 5)

    asyncio.run(body())
    assert connection.is_back
    assert not connection.is_open
