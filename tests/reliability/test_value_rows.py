"""Rows 8, 15, 16, 17 and 29: damaged values, repeated and reordered events, a clock that steps, odd catalogues."""

from __future__ import annotations

import asyncio
import itertools
import random
import time

import pytest

from features.settings import load_settings
from service.bootstrap import assemble
from service.ladder import Reason
from service.metrics import render
from tests.reliability.writers import stored_ids
from tests.service.conftest import calling
from tests.service.shop import ITEM_IDS, SECOND, event, publish

HOUR_S = 3_600


@pytest.fixture
def settings(home, redis_server):
    with redis_server.client() as client:
        client.flushall()
    publish(home)
    return load_settings(home=home, redis_url=redis_server.url)


def unreadable():
    return sum(float(line.split()[-1]) for line in render().decode().splitlines() if "state_unreadable_total{" in line)


def damages(raw, dice, n):
    """Flips, cuts, other schemas, other types' bytes and a value of 10 MB."""
    yield b"x" * 10_000_000
    for number in range(n - 1):
        spoiled = bytearray(raw)
        match number % 4:
            case 0:
                spoiled[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
            case 1:
                del spoiled[dice.randrange(len(raw)) :]
            case 2:
                spoiled[:8] = dice.randbytes(8)
            case 3:
                spoiled[12:] = dice.randbytes(dice.randrange(1, 60))
        yield bytes(spoiled)


def test_row_8_a_damaged_value_is_missing_counted_and_written_anew(settings, redis_server, size, record):
    n, dice = (400 if size.is_full else 60), random.Random(8)

    async def body():
        async with calling(settings) as caller:
            await caller.send(event("e-1", item_id="sku-7"))
            where = caller.program.customers.keys_of("c-1")
            with redis_server.client() as client:
                raw, before, slates = client.hget(where.record, "s"), unreadable(), []
                for bad in damages(raw, dice, n):
                    client.hset(where.record, "s", bad)
                    slates.append(await caller.slate("c-1", dry_run=True))
                counted = unreadable() - before
                client.delete(where.record)
                client.set(where.record, "of another type")
                wrong_type = await caller.slate("c-1")
                client.delete(where.record)
            await caller.send(event("e-2"))
            return slates, counted, wrong_type, await caller.slate("c-1")

    slates, counted, wrong_type, after = asyncio.run(body())
    in_time = [slate for slate in slates if slate["served_by"]["degraded"]["reason"] != Reason.STORE_UNAVAILABLE]
    assert {slate["served_by"]["strategy"] for slate in in_time} == {"popular"}
    assert len(in_time) >= n - 3  # ten megabytes may take longer than a read may, and so may a busy machine
    assert wrong_type["items"]
    assert after["served_by"]["strategy"] == "personal"
    assert len(in_time) <= counted <= n
    record(
        8,
        "damaged values in the store",
        "100 % ok, counted = injected",
        f"{n} of {n} ok, {counted:.0f} of {len(in_time)} counted",
    )


def state_of(caller, redis_server, customer_id):
    with redis_server.client() as client:
        return client.hget(caller.program.customers.keys_of(customer_id).record, "s")


def test_row_15_a_retry_storm_counts_once(settings, redis_server, size, record):
    dice, rounds = random.Random(15), 40 if size.is_full else 6
    at = time.time() - 600
    events = [event(f"s-{n}", item_id=f"sku-{n % 4 + 1}", occurred_at=at + n) for n in range(8)]

    async def body():
        states = set()
        async with calling(settings) as caller, calling(settings) as other:
            for number in range(rounds):
                shuffled = [
                    {**e, "event_id": f"{e['event_id']}-{number}", "customer_id": f"d-{number}"} for e in events
                ]
                shuffled += dice.sample(shuffled, 5)
                dice.shuffle(shuffled)
                for each in shuffled:
                    await caller.send(each)
                states.add(await described(caller, f"d-{number}"))
            same = event("storm", "d-storm")
            copies = await asyncio.gather(*(each.send(same) for each in [caller, other] * 25))
            changed = await caller.http.post("/v1/events", json={**same, "item_id": "sku-1"})
        return states, copies, changed

    states, copies, changed = asyncio.run(body())
    with redis_server.client() as client:
        entries = stored_ids(client, "storm")
        stored = stored_ids(client, "s-")
    assert len(states) == 1
    assert len(stored) == len(set(stored)) == 8 * rounds
    assert entries == ["storm"]
    assert sum(copy["accepted"] for copy in copies) == 1
    assert (changed.status_code, changed.json()["code"]) == (409, "id_conflict")
    record(15, "an event_id many times", "counted once; 1 entry", f"{rounds} shuffles one state; 50 copies, 1 entry")


async def described(caller, customer_id):
    """All that is known of their events."""
    known = (await caller.http.get(f"/v1/customers/{customer_id}")).json()["known"]
    return str([known[name] for name in ("counts", "channels", "moments", "active_days", "items_seen")])


def test_row_16_no_order_of_arrival_changes_the_state(settings, redis_server, size, record):
    at = time.time() - 7_200
    kinds = ("item_view", "search", "cart_add", "purchase", "item_view", "review")
    events = [
        event(f"o-{n}", type=kind, item_id=f"sku-{n % 3 + 1}", occurred_at=at + 60 * n) for n, kind in enumerate(kinds)
    ]
    orders = list(itertools.permutations(events))
    chosen = orders if size.is_full else random.Random(16).sample(orders, 60)

    async def body():
        states = set()
        async with calling(settings) as caller:
            for number, order in enumerate(chosen):
                own = [{**e, "event_id": f"{e['event_id']}.{number:03d}", "customer_id": f"p-{number}"} for e in order]
                for start in range(0, 6, 2):
                    await caller.send(*own[start : start + 2])
                states.add(state_of(caller, redis_server, f"p-{number}").replace(f".{number:03d}".encode(), b""))
            late = await caller.send(event("late", "p-late", occurred_at=time.time() - 25 * HOUR_S))
            future = await caller.http.post("/v1/events", json=event("soon", "p-late", occurred_at=time.time() + 400))
            unknown = await caller.http.get("/v1/customers/p-late")
        return states, late, future, unknown

    states, late, future, unknown = asyncio.run(body())
    assert len(states) == 1
    assert late["accepted"] == 1
    assert (future.status_code, future.json()["pointer"]) == (422, "/occurred_at")
    assert unknown.status_code == 404 or unknown.json()["known"]["counts"]["views"] == 0
    record(
        16,
        "events out of order, late, future",
        "one state for all orders",
        f"{len(chosen)} orders, 1 state, bit for bit",
    )


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S, -24 * HOUR_S])
def test_row_17_a_clock_that_steps_stops_nothing(settings, redis_server, record, step_s):
    offset = [0]

    def clock():
        return time.time_ns() // 1_000 + offset[0] * SECOND

    async def body():
        program = assemble(settings, clock)
        import httpx

        from service.app import app_of
        from service.bootstrap import running
        from tests.service.conftest import Caller

        async with running(program):
            transport = httpx.ASGITransport(app_of(program), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://rihla") as http:
                caller = Caller(program, http)
                await caller.send(event("before", "k-1"))
                offset[0] = step_s
                started = time.monotonic()
                slates = [await caller.slate("k-1"), await caller.slate("k-2"), await caller.slate("k-1")]
                own = (clock() - 60 * SECOND) / SECOND
                sent = await caller.send(event("after", "k-1", occurred_at=own))
                true = await http.post("/v1/events", json=event("true", "k-1"))
                ahead = event("early", "k-1", occurred_at=time.time() + max(step_s, 0) + 400)
                early = await http.post("/v1/events", json=ahead)
                took_s = time.monotonic() - started
                where = program.customers.keys_of("k-1")
        with redis_server.client() as client:
            ttl_s = client.ttl(where.record)
        return slates, sent, true, early, took_s, ttl_s

    slates, sent, true, early, took_s, ttl_s = asyncio.run(body())
    assert all(slate["items"] for slate in slates)
    assert sent["accepted"] == 1
    assert true.status_code == 202
    assert early.status_code == 422  # in the future of the store's clock, too
    assert took_s < 5
    assert 300 * 86_400 < ttl_s < 500 * 86_400
    told = f"answers in {1000 * took_s / 6:.0f} ms, time to live {ttl_s // 86_400} d, a true event {true.status_code}"
    record(17, f"service clock steps {step_s // HOUR_S:+d} h", "no negative TTL, no endless wait", told)


@pytest.mark.parametrize("n_items", range(6))
def test_row_29_odd_catalogues_and_customers_get_honest_slates(settings, tmp_path, size, record, n_items):
    if not n_items:
        settings = settings.model_copy(update={"home": tmp_path})  # without a bundle
    n, dice = (1_500 if size.is_full else 60), random.Random(29 + n_items)
    ids = ITEM_IDS[:n_items]

    async def body():
        async with calling(settings) as caller:
            if ids:
                publish(settings.home, version=f"29-{n_items}", item_ids=ids)
                await caller.program.serving.look()
                sold_out = ids[0]
                await caller.http.put("/v1/items", json={"item_id": sold_out, "available": False})
                await caller.send(*(event(f"all-{i}", "seen-all", item_id=item) for i, item in enumerate(ids)))
            else:
                await caller.http.put("/v1/items", json={"item_id": "gone", "available": False})
                sold_out = "gone"
            return [await one(caller, sold_out) for _ in range(n)]

    async def one(caller, sold_out):
        known = [*ITEM_IDS, "unknown-item"]
        asked = {
            "subject": {"customer_id": dice.choice(["nobody", "seen-all", "c-new"])},
            "limit": dice.choice([1, 3, 100]),
            "explain": "full",
            "anchor_items": dice.sample(known, dice.randrange(3)),
            "exclude_ids": dice.sample(known, dice.randrange(4)),
            "filter": {"unseen_only": dice.random() < 0.3},
        }
        if dice.random() < 0.3:
            asked["candidates"] = dice.sample(known, dice.randrange(4))
        answer = await caller.http.post("/v1/recommendations", json=asked)
        assert answer.status_code == 200, answer.text
        shown = [item["item_id"] for item in answer.json()["items"]]
        assert len(shown) == len(set(shown)) <= asked["limit"]
        assert not set(shown) & {sold_out, *asked["exclude_ids"]}
        assert set(shown) <= set(asked.get("candidates", shown))
        assert [item["rank"] for item in answer.json()["items"]] == list(range(1, len(shown) + 1))
        assert set(shown) <= set(ids)
        return len(shown)

    shown = asyncio.run(body())
    told = f"{n} requests, 0 to {max(shown)} items, no duplicate, nothing unavailable"
    record(29, f"catalogue of {n_items} items", "invariants hold", told)
