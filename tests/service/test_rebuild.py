from __future__ import annotations

import asyncio
import random
import time

import msgspec
import pytest

from features.journey import Journey
from features.rebuilt import read_rebuilt_at
from service.drainer import drain_for_ever
from service.ladder import Reason
from service.rebuild import rebuild
from service.store import keys
from tests.service.shop import DAY, MINUTE, SECOND, event
from tests.service.test_catalog_changes import eventually
from tests.service.test_erasure import ago, drain
from training.rebuild import pasts

SETTLED_US = SECOND // 5
SCHEMA = Journey.load(None).schema
TYPES = ("item_view", "cart_add", "purchase", "content_read", "search", "page_view", "refund", "review", "like")


def rebuilt(settings, data):
    return rebuild(settings, data, lambda since: pasts(data, SCHEMA, since, at_once=7), settled_us=SETTLED_US)


def history(seed, n=120):
    """Events of a few customers, out of order, some twice, some late."""
    chance = random.Random(seed)
    made = []
    for number in range(n):
        late = chance.random() < 0.15
        at = ago(chance.randrange(25 * 60, 90 * 24 * 60) * MINUTE if late else chance.randrange(23 * 60) * MINUTE)
        fields = {"type": chance.choice(TYPES), "item_id": f"sku-{chance.randrange(9)}", "occurred_at": at}
        made.append(event(f"e-{seed}-{number}", f"c-{chance.randrange(6)}", **fields))
    again = chance.sample(made, 20)
    chance.shuffle(made)
    return [*made, *again]


def states(redis_client):
    return {
        name: redis_client.hget(name, "s")
        for partition in keys.PARTITIONS
        for name in redis_client.scan_iter(f"rihla:{{p{partition:02d}}}:c:*")
    }


def never_lost(caller, events, *, with_late=True):
    """What the records would hold if nothing was ever lost, and nobody too late."""
    from features.ingest import lines_of

    schema, customers = SCHEMA, caller.program.customers
    merged, seen = {}, set()
    for each in events:
        if each["event_id"] in seen:
            continue
        seen.add(each["event_id"])
        now = time.time_ns() // 1000
        for line in lines_of(each, received_at=now, source="api", category_of=caller.program.serving.category_of):
            counted = msgspec.structs.replace(line, late=False) if with_late else line
            before = merged.get(line.customer_id, schema.empty())
            merged[line.customer_id] = schema.merge(before, schema.lift(counted))
    return {customers.keys_of(each).record.encode(): customers.codec.pack(state) for each, state in merged.items()}


async def settled():
    """Until what was received is old enough for a rebuild to fold it in."""
    await asyncio.sleep(1.1 * SETTLED_US / SECOND)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_lost_store_comes_back_bit_for_bit_with_late_events_folded_in(
    with_service, settings, redis_client, tmp_path, seed
):
    async def body(caller):
        events = history(seed)
        for first in range(0, len(events), 25):
            await caller.send(*events[first : first + 25])
            if first % 50 == 0:
                await drain(settings, tmp_path)
        assert states(redis_client) == never_lost(caller, events, with_late=False)
        await settled()
        await drain(settings, tmp_path)
        redis_client.flushall()
        made = await rebuilt(settings, tmp_path)
        assert states(redis_client) == never_lost(caller, events)
        again = await rebuilt(settings, tmp_path)
        return made, again

    made, again = with_service(body)
    assert made.written == made.identities == 6
    assert again.written == 0
    assert read_rebuilt_at(tmp_path) is not None


def test_what_arrives_during_a_rebuild_is_counted_once(with_service, settings, redis_client, tmp_path):
    events = history(3)

    async def traffic(caller, stop):
        sent = []
        while not stop.is_set():
            batch = [event(f"live-{len(sent) + n}", f"c-{n % 7}") for n in range(5)]
            await caller.send(*batch)
            sent.extend(batch)
        return sent

    async def body(caller):
        for first in range(0, len(events), 25):
            await caller.send(*events[first : first + 25])
        await drain(settings, tmp_path)
        await settled()
        redis_client.flushall()
        stop = asyncio.Event()
        running = asyncio.create_task(traffic(caller, stop))
        await eventually(lambda: redis_client.dbsize() > 10)
        made = await rebuilt(settings, tmp_path)
        stop.set()
        sent = await running
        return made, states(redis_client) == never_lost(caller, [*events, *sent]), len(sent)

    made, is_equal, n = with_service(body)
    assert is_equal
    assert n > 0
    assert made.written >= 6


def test_an_event_sent_again_after_a_rebuild_is_still_a_duplicate(with_service, settings, redis_client, tmp_path):
    async def body(caller):
        await caller.send(event("e-1"))
        await drain(settings, tmp_path)
        redis_client.flushall()
        await rebuilt(settings, tmp_path)
        return await caller.send(event("e-1"), event("e-2"))

    assert with_service(body) == {"accepted": 1, "duplicates": 1, "rejected": []}


def test_an_erased_customer_stays_erased_when_the_store_is_lost(with_service, settings, redis_client, tmp_path):
    async def body(caller):
        await caller.send(event("e-1"), event("e-2", "c-2"))
        await caller.http.delete("/v1/customers/c-1")
        await drain(settings, tmp_path)
        redis_client.flushall()
        await caller.send(event("e-3"))  # from before the erasure, to a store that knows of none
        await rebuilt(settings, tmp_path)
        late = await caller.http.post("/v1/events", json=event("e-4"))
        return late.status_code, (await caller.http.get("/v1/customers/c-1")).status_code

    assert with_service(body) == (410, 404)


def test_consent_and_links_come_back_too(with_service, settings, redis_client, tmp_path):
    async def body(caller):
        await caller.send(event("e-1", "anon:1"), event("e-2"))
        await caller.send({**event("l-1"), "type": "link", "item_id": None, "properties": {"from": "anon:1"}})
        said = {**event("s-1"), "type": "consent", "item_id": None, "properties": {"email": False}}
        await caller.send(said)
        before = await caller.program.customers.load("anon:1", 0)
        await drain(settings, tmp_path)
        redis_client.flushall()
        await rebuilt(settings, tmp_path)
        return before, await caller.program.customers.load("anon:1", 0)

    before, after = with_service(body)
    assert after.ids == before.ids == ("c-1", "anon:1")
    assert after.state == before.state
    assert not after.allows("email")


def test_a_rebuild_announces_nobody_as_new_in_a_stage(with_service, settings, redis_client, tmp_path):
    async def body(caller):
        await caller.send(event("e-1"))
        await drain(settings, tmp_path)
        redis_client.flushall()
        await rebuilt(settings, tmp_path)

    with_service(body)
    assert not any(redis_client.xlen(keys.changes(partition)) for partition in keys.PARTITIONS)


def test_a_rebuild_takes_the_lease_from_a_running_drainer_and_gives_it_back(with_service, settings, tmp_path):
    async def body(caller):
        mine = settings.model_copy(update={"home": tmp_path, "drain_every_s": 0.05})
        stop = asyncio.Event()
        draining = asyncio.create_task(drain_for_ever(mine, stop))
        try:
            await caller.send(event("e-1"))
            await eventually(lambda: list((tmp_path / "data").rglob("events/*/*.parquet")))
            made = await rebuilt(mine, tmp_path / "data")
            await caller.send(event("e-2"))
            await eventually(lambda: len(list((tmp_path / "data").rglob("events/*/*.parquet"))) == 2)
        finally:
            stop.set()
            await draining
        return made

    assert with_service(body).identities == 1


def test_a_store_that_lost_everything_is_noticed_and_answered_around_until_it_is_rebuilt(
    with_service, settings, redis_client, tmp_path
):
    async def body(caller):
        epoch = caller.program.epoch
        await caller.send(event("e-1"), event("e-2", occurred_at=ago(2 * DAY)))
        await epoch.beat()
        await drain(settings, settings.home / "data")
        redis_client.flushall()
        began = time.monotonic()
        await eventually(lambda: epoch.flaw is Reason.STORE_LOST)
        took = time.monotonic() - began
        lost = await caller.slate()
        ready = (await caller.http.get("/readyz")).json()
        await rebuilt(settings, settings.home / "data")
        await eventually(lambda: epoch.flaw is None)
        (settings.home / "epoch.json").unlink()
        return took, lost, ready, await caller.slate()

    took, lost, ready, whole = with_service(body)
    assert took < 10
    assert lost["served_by"]["degraded"] == {"level": 3, "reason": "store_lost"}
    assert lost["consent"]["personalised"] is False
    assert "store_lost" in ready["reasons"]
    assert whole["served_by"]["degraded"]["level"] == 0


def test_a_store_from_an_earlier_time_is_noticed(with_service, settings, redis_client):
    async def body(caller):
        epoch = caller.program.epoch
        await epoch.beat()
        redis_client.hincrby(keys.EPOCH, "beat", -SECOND)
        found = await epoch.look()
        await epoch.beat()
        still = await epoch.look()
        await epoch.renew()
        whole = await epoch.look()
        (settings.home / "epoch.json").unlink()
        return found, still, whole

    assert with_service(body) == (Reason.STORE_OLDER, Reason.STORE_OLDER, None)
