from __future__ import annotations

import time

from service.drainer import Drainer
from service.store import keys
from service.store.clients import BACKGROUND, redis_client
from service.store.drain import DrainStore
from tests.service.conftest import calling
from tests.service.shop import SECOND, event
from tests.service.test_catalog_changes import eventually
from tests.service.test_drainer import rows


async def drain(settings, data):
    client = redis_client(settings.redis_url, BACKGROUND)
    store = DrainStore(client, "drainer")
    while await Drainer(store, data).round():
        pass
    await store.release()
    await client.aclose()


def ago(us):
    return (time.time_ns() // 1000 - us) / SECOND


def test_an_erased_customer_is_unknown_at_once_and_the_receipt_says_so(with_service, redis_client):
    async def body(caller):
        await caller.send(event("e-1"), event("e-2", type="purchase", item_id=None, items=["sku-1"]))
        receipt = await caller.http.delete("/v1/customers/c-1")
        gone = await caller.http.get("/v1/customers/c-1")
        shown = await caller.http.get(f"/v1/erasures/{receipt.json()['receipt_id']}")
        return receipt, gone, shown, await caller.slate(dry_run=True), caller.program.customers.keys_of("c-1")

    receipt, gone, shown, slate, where = with_service(body)
    assert (receipt.status_code, gone.status_code, shown.status_code) == (202, 404, 200)
    assert receipt.json() == shown.json()
    assert receipt.json()["identities"] == 1
    assert receipt.json()["progress"]["online"]["status"] == "done"
    assert receipt.json()["progress"]["log"]["status"] == "pending"
    assert slate["served_by"]["strategy"] == "popular"
    assert set(redis_client.hkeys(where.record)) == {b"t", b"v"}
    zsets = (keys.due(where.partition), *keys.stages(where.partition))
    assert all(redis_client.zscore(name, where.member) is None for name in zsets)
    assert redis_client.ttl(where.record) > 400 * 86_400


def test_no_receipt_or_announcement_holds_an_id(with_service, redis_client):
    async def body(caller):
        await caller.send(event("e-1", "müşteri-9"))
        return (await caller.http.delete("/v1/customers/müşteri-9")).text

    text = with_service(body)
    kept = [redis_client.hgetall(name) for name in redis_client.keys("rihla:{erasures}:r:*")]
    assert "müşteri-9" not in text
    assert kept
    assert "müşteri-9".encode() not in repr((kept, redis_client.xrange(keys.CONTROL))).encode()


def test_events_from_before_are_refused_and_later_ones_start_cold(with_service):
    async def body(caller):
        await caller.send(*(event(f"e-{n}") for n in range(5)))
        await caller.http.delete("/v1/customers/c-1")
        old = await caller.send(event("e-6"), event("e-7", "c-2"))
        alone = await caller.http.post("/v1/events", json=event("e-8"))
        await caller.send(event("e-9", occurred_at=ago(-SECOND)))
        return old, alone, (await caller.http.get("/v1/customers/c-1")).json()

    old, alone, known = with_service(body)
    assert old["accepted"] == 1
    assert [(each["index"], each["pointer"], each["code"]) for each in old["rejected"]] == [
        (0, "/occurred_at", "erased")
    ]
    assert (alone.status_code, alone.json()["code"]) == (410, "erased")
    assert known["known"]["counts"]["events"] == 1


def test_a_tombstone_outlives_the_state_that_came_after_it(with_service, redis_client):
    async def body(caller):
        await caller.http.delete("/v1/customers/c-1")
        where = caller.program.customers.keys_of("c-1")
        before = redis_client.ttl(where.record)
        await caller.send(event("e-9", occurred_at=ago(-SECOND)))
        return where, before

    where, before = with_service(body)
    assert redis_client.ttl(where.record) >= before - 5
    assert redis_client.hget(where.record, "t") is not None


def test_what_was_read_before_an_erasure_cannot_be_written_after_it(with_service):
    async def body(caller):
        from service.store.customers import Change

        await caller.send(event("e-1"))
        customers = caller.program.customers
        now = time.time_ns() // 1000
        known = await customers.load("c-1", now)
        await caller.http.delete("/v1/customers/c-1")
        standing = customers.journey.stage_of(known.state, now)
        return await customers.commit(known.asked, Change(standing, now, "event", known.state, []))

    assert with_service(body) is False


def test_every_worker_forgets_an_erased_customer_within_a_second(with_service):
    async def body(caller):
        async with calling(caller.program.settings) as other:
            await caller.send(event("e-1"))
            await other.slate()
            assert other.program.customers.remembered("c-1") is not None
            began = time.monotonic()
            await caller.http.delete("/v1/customers/c-1")
            await eventually(lambda: other.program.customers.remembered("c-1") is None)
            return time.monotonic() - began

    assert with_service(body) < 1


def test_what_still_waits_in_the_streams_does_not_reach_the_log(with_service, settings, tmp_path):
    async def body(caller):
        await caller.send(event("e-1"), event("e-2", "c-2"))
        await caller.slate("c-1")
        receipt = (await caller.http.delete("/v1/customers/c-1")).json()
        await caller.send(event("e-3", occurred_at=ago(-SECOND)))
        await drain(settings, tmp_path)
        return (await caller.http.get(f"/v1/erasures/{receipt['receipt_id']}")).json()

    receipt = with_service(body)
    assert sorted(line["event_id"] for line in rows(tmp_path, "events")) == ["e-2", "e-3"]
    assert rows(tmp_path, "decisions") == []
    assert receipt["progress"]["log"]["status"] == "done"
    assert (tmp_path / "erased" / "key").stat().st_mode & 0o777 == 0o600
    (path,) = (tmp_path / "erased").glob("*.parquet")
    assert b"c-1" not in path.read_bytes()


def test_an_unknown_receipt_is_not_found_and_an_unknown_customer_may_be_erased(with_service):
    async def body(caller):
        return await caller.http.get("/v1/erasures/nothing"), await caller.http.delete("/v1/customers/nobody")

    unknown, erased = with_service(body)
    assert (unknown.status_code, erased.status_code) == (404, 202)


def test_linked_identities_are_erased_together(with_service):
    async def body(caller):
        await caller.send(event("e-1", "anon:1"), event("e-2"), event("e-3", "c-2"))
        await caller.send({**event("l-1", "c-1"), "type": "link", "item_id": None, "properties": {"from": "anon:1"}})
        receipt = (await caller.http.delete("/v1/customers/anon:1")).json()
        after = [(await caller.http.get(f"/v1/customers/{each}")).status_code for each in ("anon:1", "c-1", "c-2")]
        return receipt, after

    receipt, after = with_service(body)
    assert receipt["identities"] == 2
    assert after == [404, 404, 200]


def test_a_link_from_before_an_erasure_does_not_come_back_with_the_other_end(with_service):
    async def body(caller):
        await caller.send(event("e-1", "c-2"), event("e-2"))
        await caller.http.delete("/v1/customers/c-1")
        await caller.send({**event("l-1", "c-2"), "type": "link", "item_id": None, "properties": {"from": "c-1"}})
        return await caller.program.customers.load("c-2", 0), await caller.program.customers.load("c-1", 0)

    other, erased = with_service(body)
    assert other.ids == ("c-2",)
    assert not erased.asked.edges
