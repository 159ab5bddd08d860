from __future__ import annotations

import msgspec

from service.clock import wall_clock
from service.store import keys
from service.sweeper import Sweeper
from tests.service.shop import DAY, event


def changes(redis_client, where):
    return [msgspec.json.decode(fields[b"b"]) for _, fields in redis_client.xrange(keys.changes(where.partition))]


async def swept(caller, days):
    """A sweep some days from now."""
    sweeper = Sweeper(caller.program.customers, caller.program.clients.background, lambda: wall_clock() + days * DAY)
    return await sweeper.sweep()


def test_a_stage_that_ends_by_the_clock_alone_is_noticed(with_service, redis_client):
    async def body(caller):
        await caller.send(event("o-1", type="purchase"))
        looked_at = [await swept(caller, days) for days in (1, 15, 15, 200, 200)]
        return caller.program.customers.keys_of("c-1"), looked_at

    where, looked_at = with_service(body)
    assert looked_at == [0, 1, 0, 1, 0]
    seen = [(each["from"], each["to"], each["at_risk"], each["cause"]) for each in changes(redis_client, where)]
    assert seen == [
        (None, "transaction", False, "event"),
        ("transaction", "retention", False, "clock"),
        ("retention", "retention", True, "clock"),
    ]
    assert {each["customer_id"] for each in changes(redis_client, where)} == {"c-1"}
    assert redis_client.zrange(keys.stage(where.partition, "retention"), 0, -1) == [where.member.encode()]
    assert redis_client.zrange(keys.stage(where.partition, "transaction"), 0, -1) == []


def test_a_customer_who_acts_meanwhile_is_not_overwritten(with_service, redis_client):
    async def body(caller):
        await caller.send(event("o-1", type="purchase"))
        customers = caller.program.customers
        where = customers.keys_of("c-1")
        record = (await customers.load_at(where, None, wall_clock())).asked
        await caller.send(event("e-1"))
        from service.store.customers import Change

        standing = record.standing._replace(stage="retention")
        return where, await customers.commit(record, Change(standing, wall_clock(), "clock"))

    where, is_written = with_service(body)
    assert not is_written
    assert [each["to"] for each in changes(redis_client, where)] == ["transaction"]


def test_a_customer_whose_record_has_expired_leaves_the_stages(with_service, redis_client):
    async def body(caller):
        await caller.send(event("e-1"), event("e-2"))
        where = caller.program.customers.keys_of("c-1")
        ttl_s = redis_client.ttl(where.record)
        redis_client.delete(where.record)
        await swept(caller, 450)
        return where, ttl_s

    where, ttl_s = with_service(body)
    assert 360 * 86_400 <= ttl_s <= 440 * 86_400
    assert not redis_client.exists(keys.due(where.partition), *keys.stages(where.partition))


def test_a_state_nobody_can_read_keeps_its_stage_until_the_next_event(with_service, redis_client):
    async def body(caller):
        await caller.send(event("o-1", type="purchase"))
        where = caller.program.customers.keys_of("c-1")
        redis_client.hset(where.record, "s", b"\0" * 40)
        return where, await swept(caller, 15), await swept(caller, 15)

    where, first, second = with_service(body)
    assert (first, second) == (1, 0)
    assert [each["to"] for each in changes(redis_client, where)] == ["transaction"]


def test_many_are_swept_at_once(with_service):
    async def body(caller):
        await caller.send(*(event(f"o-{n}", f"c-{n}", type="purchase") for n in range(200)))
        return [await swept(caller, 15), await swept(caller, 15)]

    assert with_service(body) == [200, 0]
