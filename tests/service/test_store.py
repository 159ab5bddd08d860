from __future__ import annotations

import asyncio
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.consent import NOTHING_SAID
from features.errors import StoreUnavailable
from features.ids import customer_key
from features.journey import Journey
from service.store import keys
from service.store.breaker import Breaker
from service.store.clients import READS, WRITES, redis_client
from service.store.coalesced import Calls, Coalesced
from service.store.codec import SeenEvents, StateCodec, UnreadableState, body_digest, event_digest
from service.store.known import Remembered
from service.store.recently import MAX_AGE_US, Recently
from tests.service.shop import NOW, SECOND

PEPPER = b"p" * 32


def test_an_answer_never_reaches_another_caller_however_many_leave(settings):
    """Callers leave at random points while their shipments are under way; each answer is its asker's."""

    async def body():
        client = redis_client(settings.redis_url, WRITES)
        calls, dice = Calls.over(client, client).writes, random.Random(7)
        await asyncio.gather(*(calls.call("SET", f"k-{n}", n) for n in range(64)))

        async def ask(n):
            await asyncio.sleep(dice.random() * 0.002)
            return n, await calls.call("GET", f"k-{n}")

        crossed = stayed = 0
        for _ in range(40):
            tasks = [asyncio.create_task(ask(n)) for n in range(64)]
            await asyncio.sleep(0.001)
            for task in dice.sample(tasks, 24):
                task.cancel()
            for answer in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(answer, BaseException):
                    stayed += 1
                    crossed += answer != (answer[0], str(answer[0]).encode())
        pool = client.connection_pool
        n_connections = len(pool._available_connections) + len(pool._in_use_connections)
        await calls.aclose()
        await client.aclose()
        return crossed, stayed, n_connections

    crossed, stayed, n_connections = asyncio.run(body())
    assert crossed == 0
    assert stayed > 500
    assert n_connections <= 4


@pytest.mark.parametrize("patience", [READS, WRITES])
def test_a_store_that_is_not_there_is_told_at_once(tmp_path, patience):
    async def body():
        client = redis_client(f"unix://{tmp_path}/none.sock", patience)
        started = time.perf_counter()
        with pytest.raises(StoreUnavailable):
            await Coalesced(client, patience, Breaker("reads")).call("GET", "k")
        await client.aclose()
        return time.perf_counter() - started

    assert asyncio.run(body()) < 1


def test_a_lost_library_is_loaded_again(settings, redis_client):
    from tests.service.conftest import calling
    from tests.service.shop import event

    async def body():
        async with calling(settings) as caller:
            redis_client.function_flush()
            return await caller.send(event("e-1"))

    assert asyncio.run(body())["accepted"] == 1


@given(st.text(min_size=1), st.text(min_size=1))
def test_keys_never_carry_what_the_caller_sent(one, other):
    where = keys.customer_keys(one, PEPPER)
    assert where == keys.keys_of_member(customer_key(one, PEPPER))
    assert where.record == f"rihla:{{p{where.partition:02d}}}:c:{where.member}"
    assert set(where.member) <= set("0123456789abcdef")
    assert (keys.customer_keys(other, PEPPER) == where) == (one == other)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2**32 - 1), st.integers(0, 200_000)), max_size=40))
def test_seen_events_are_those_of_the_last_day(events):
    seen, wanted = SeenEvents(b"", NOW), {}
    for n, body, ago_s in events:
        seen.add(event_digest(str(n)), body, NOW - ago_s * SECOND)
        wanted[n] = (body, ago_s)
    read = SeenEvents(seen.pack(), NOW)
    for n, (body, ago_s) in wanted.items():
        assert read.body_of(event_digest(str(n))) == (body if ago_s < 86_400 else None)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 1 << 32, 1 << 63]), st.integers(0, 3)), max_size=8))
def test_ids_are_not_found_across_the_edges_of_records(known):
    seen = SeenEvents(b"", NOW)
    for event, body in known:
        seen.add(event, body, 0)  # seconds of 0, which look like the beginning of an id
    assert all(SeenEvents(seen.pack(), 0).body_of(event) is None for event in (3, 1 << 31, (1 << 64) - 1))
    latest = dict(known)
    seen = SeenEvents(b"", NOW)
    for event, body in latest.items():
        seen.add(event, body, NOW)
    again = SeenEvents(seen.pack(), NOW)
    assert {event: again.body_of(event) for event in (0, 1, 2, 1 << 32, 1 << 63)} == {
        event: latest.get(event) for event in (0, 1, 2, 1 << 32, 1 << 63)
    }
    assert len(again) == len(latest)


def test_what_is_too_old_behind_something_later_is_not_known():
    seen = SeenEvents(b"", NOW)
    seen.add(1, 7, NOW)
    seen.add(2, 7, NOW - 86_400 * SECOND)
    again = SeenEvents(seen.pack(), NOW)
    assert (again.body_of(1), again.body_of(2)) == (7, None)
    assert len(SeenEvents(again.pack(), NOW + 86_400 * SECOND)) == 0


@given(st.binary(max_size=60), st.integers(0, 59), st.integers(1, 255))
def test_no_damage_is_read_as_a_state(noise, place, flip):
    codec = StateCodec(Journey.load(None).schema)
    good = codec.pack(codec.schema.empty())
    damaged = bytearray(good)
    damaged[place % len(good)] ^= flip
    for raw in (noise, bytes(damaged), good[: place % len(good)], good + noise + b"x"):
        with pytest.raises(UnreadableState):
            codec.unpack(raw)
    assert codec.unpack(good) == codec.schema.empty()


def test_a_body_has_one_digest_whatever_the_order_of_its_fields():
    assert body_digest({"a": 1, "b": {"c": 2, "d": 3}}) == body_digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert body_digest({"a": 1}) != body_digest({"a": 2})


def test_what_was_seen_recently_is_bounded_in_number_and_age():
    now = [0]
    recently = Recently(lambda: now[0], max_customers=2)
    for member in "abc":
        recently.put(member, (member.encode(),), NOTHING_SAID)
    assert [recently.get(member) for member in "abc"] == [
        None,
        Remembered((b"b",), NOTHING_SAID, 0),
        Remembered((b"c",), NOTHING_SAID, 0),
    ]
    now[0] = MAX_AGE_US + 1
    assert recently.get("c") is None
    now[0] = 0
    recently.forget("c")
    assert recently.get("c") is None
