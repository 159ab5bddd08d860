from __future__ import annotations

import time

import pytest
import redis

from features.settings import load_settings
from service.ladder import Level
from tests.service.conftest import calling
from tests.service.shop import OwnStore, event, publish


@pytest.fixture
def store(home) -> OwnStore:
    """A store that this test may break."""
    own = OwnStore(home)
    own.start()
    yield own
    own.stop()


@pytest.fixture(params=["kill", "freeze"])
def fault(request, store):
    """How the store goes away: the process dies, or stops answering with its connections open."""
    return getattr(store, request.param)


def levels(answers):
    return [(a["served_by"]["degraded"]["level"], a["served_by"]["degraded"]["reason"]) for a in answers]


def test_reads_go_down_the_ladder_and_writes_are_refused_while_the_store_is_away(with_service, fault):
    async def body(caller):
        await caller.send(event("e-1", item_id="sku-7"))
        await caller.slate("c-1")
        fault()
        started = time.perf_counter()
        slates = [
            await caller.slate("c-1"),
            await caller.slate("c-2", anchor_items=["sku-2"]),
            await caller.slate("c-3"),
        ]
        longest = time.perf_counter() - started
        refused = await caller.http.post("/v1/events", json=event("e-2"))
        put = await caller.http.put("/v1/items", json={"item_id": "sku-1"})
        known = await caller.http.get("/v1/customers/c-1")
        unknown = await caller.http.get("/v1/customers/c-2")
        ready = await caller.http.get("/readyz")
        return slates, longest, (refused, put, unknown), known, ready

    slates, longest, refused, known, ready = with_service(body)
    away = "store_unavailable"
    assert levels(slates) == [(Level.STALE, away), (Level.SESSION, away), (Level.POPULAR, away)]
    assert [slate["served_by"]["strategy"] for slate in slates] == ["personal", "related", "popular"]
    assert all(slate["items"] for slate in slates)
    assert longest < 3 * 0.5
    for answer in refused:
        assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "1", away)
    assert known.json()["degraded"] == {"level": 1, "reason": away}
    assert (ready.status_code, ready.json()["status"], ready.json()["reasons"]) == (200, "degraded", [away])


def test_it_is_whole_again_when_the_store_is_back_and_every_202_is_still_there(with_service, store):
    async def body(caller):
        for n in range(50):
            await caller.send(event(f"e-{n}", "c-1", item_id="sku-7"))
        store.kill()
        lost = await caller.slate("c-9")
        store.start()
        again = await caller.slate("c-1")
        await caller.send(event("e-99", "c-1"))
        customer = (await caller.http.get("/v1/customers/c-1")).json()
        return lost, again, customer

    lost, again, customer = with_service(body)
    assert levels([lost, again]) == [(3, "store_unavailable"), (0, None)]
    assert customer["known"]["counts"]["views"] == 51


def test_decisions_made_while_the_store_was_away_reach_the_stream_later(with_service, store):
    async def body(caller):
        store.freeze()
        answer = await caller.slate("c-1")
        store.thaw()
        await caller.program.decisions.aclose()
        return answer

    answer = with_service(body)
    with redis.Redis.from_url(store.url) as client:
        bodies = [f[b"b"] for key in client.scan_iter("rihla:*:events") for _, f in client.xrange(key)]
    assert any(answer["slate_id"].encode() in raw for raw in bodies)


def test_a_full_store_says_so_and_keeps_what_it_has(with_service, store):
    async def body(caller):
        await caller.send(event("e-1"))
        with redis.Redis.from_url(store.url) as client:
            client.config_set("maxmemory", "1mb")
            full = await caller.http.post("/v1/events", json=event("e-2"))
            slate = await caller.slate("c-1")
            client.config_set("maxmemory", "0")
        return full, slate, await caller.send(event("e-2"))

    full, slate, after = with_service(body)
    assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (503, "store_full", "1")
    assert levels([slate]) == [(Level.STALE, "store_full")]  # it cannot be reserved
    assert after["accepted"] == 1


def test_damaged_states_are_missing_counted_and_written_anew(with_service, store):
    async def body(caller):
        await caller.send(event("e-1", item_id="sku-7"))
        where = caller.program.customers.keys_of("c-1")
        with redis.Redis.from_url(store.url) as client:
            raw = client.hget(where.record, "s")
            damaged = [
                b"",
                raw[:11],
                raw[:-1],
                raw[:20] + bytes([raw[20] ^ 1]) + raw[21:],
                b"\0" * 8 + raw[8:],
                b"x" * 10_000,
            ]
            slates = []
            for bad in damaged:
                client.hset(where.record, "s", bad)
                slates.append(await caller.slate("c-1"))
            client.hset(where.record, mapping={"s": raw, "id": "c-2"})
            slates.append(await caller.slate("c-1"))
        metrics = (await caller.http.get("/metrics")).text
        await caller.send(event("e-2"))
        return slates, await caller.slate("c-1"), metrics

    slates, after, metrics = with_service(body)
    assert {slate["served_by"]["strategy"] for slate in slates} == {"popular"}
    assert after["served_by"]["strategy"] == "personal"
    for why in ("schema", "checksum", "decode", "foreign"):
        assert f'rihla_state_unreadable_total{{why="{why}"}}' in metrics


@pytest.mark.parametrize("field", ["v", "t"])
@pytest.mark.parametrize("bad", [b"", b"x", b"-1", b"1.5", b"007", b"9" * 17, b"\xff"])
def test_a_number_that_is_none_is_counted_and_stops_nobody(with_service, store, field, bad):
    async def body(caller):
        await caller.send(event("e-1", item_id="sku-7"))
        where = caller.program.customers.keys_of("c-1")
        with redis.Redis.from_url(store.url) as client:
            client.hset(where.record, field, bad)
            slate = await caller.slate("c-1")
            sent = await caller.send(event("e-2"))
            version = client.hget(where.record, "v")
        gone = await caller.http.delete("/v1/customers/c-1")
        return slate, sent, version, gone, (await caller.http.get("/metrics")).text

    slate, sent, version, gone, metrics = with_service(body)
    assert levels([slate]) == [(Level.FULL, None)]
    assert (sent["accepted"], version.isdigit(), gone.status_code) == (1, True, 202)
    assert 'rihla_state_unreadable_total{why="number"}' in metrics


def test_a_worker_starts_without_a_store_and_without_a_bundle(tmp_path):
    import asyncio

    async def body():
        settings = load_settings(home=tmp_path, redis_url=f"unix://{tmp_path}/nowhere.sock")
        async with calling(settings) as caller:
            first = await caller.slate("c-1")
            publish(tmp_path)
            await caller.program.serving.look()
            return first, await caller.slate("c-1"), (await caller.http.get("/readyz")).json()

    first, second, ready = asyncio.run(body())
    assert (first["items"], first["served_by"]["strategy"]) == ([], "empty")
    assert levels([first]) == [(4, "no_bundle")]
    assert levels([second]) == [(3, "store_unavailable")]
    assert second["items"]
    assert ready["reasons"] == ["store_unavailable"]


def test_an_answer_of_another_form_is_an_answer_that_did_not_come(with_service, redis_client):
    async def body(caller):
        await caller.send(event("e-1"))
        where = caller.program.customers.keys_of("c-1").record
        redis_client.delete(where)
        redis_client.rpush(where, "no record")
        slate = await caller.slate("c-1")
        return slate, await caller.http.post("/v1/events", json=event("e-2"))

    slate, refused = with_service(body)
    assert slate["served_by"]["degraded"]["level"] > Level.FULL
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
