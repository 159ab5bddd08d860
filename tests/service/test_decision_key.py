from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import msgspec
import pytest

from service.decisions import decode_decision
from tests.service.conftest import calling
from tests.service.moving import HOUR_S, MovingClock, ids, memory_of
from tests.service.shop import ITEM_IDS, OwnStore, event, publish, until

MAIL = {"placement": "email", "channel": "email", "limit": 3, "decision_key": "spring.2025-04-01"}
SAME = ("slate_id", "generated_at", "expires_at")


@pytest.fixture
def store(home) -> OwnStore:
    """A store that a test may stop."""
    own = OwnStore(home)
    own.start()
    yield own
    own.stop()


def same(slates):
    """What has to be the same in all answers of one key."""
    return {(tuple(slate[name] for name in SAME), tuple(ids(slate))) for slate in slates}


def decisions_of(caller, redis_client, customer_id="c-1"):
    where = caller.program.customers.keys_of(customer_id)
    entries = redis_client.xrange(f"rihla:{{p{where.partition:02d}}}:events")
    return [decode_decision(fields[b"b"]) for _, fields in entries if fields[b"k"] == b"d"]


def kept_of(caller, redis_client, customer_id="c-1"):
    where = caller.program.customers.keys_of(customer_id)
    return redis_client.hgetall(f"rihla:{{p{where.partition:02d}}}:k:{where.member}")


def calls(redis_client):
    return {name: stats["calls"] for name, stats in redis_client.info("commandstats").items()}


def test_the_same_key_gives_the_same_slate_and_one_exposure_whatever_happens_between(with_service, redis_client):
    async def body(caller):
        slates = [await caller.slate(**MAIL)]
        await caller.send(*(event(f"e-{n}", item_id="sku-7") for n in range(3)))
        slates += [await caller.slate(**MAIL, explain=explain) for explain in ("none", "short", "full")]
        got = await caller.http.get(
            "/v1/customers/c-1/recommendations",
            params={"placement": "email", "channel": "email", "limit": 3, "decision_key": MAIL["decision_key"]},
        )
        return [*slates, got.json()], memory_of(caller, redis_client), decisions_of(caller, redis_client)

    slates, memory, decisions = with_service(body)
    assert len(same(slates)) == 1
    assert [slate["decision_key"]["status"] for slate in slates] == ["first", *["repeated"] * 4]
    assert len(memory.shows) == 3
    assert [decision.slate_id for decision in decisions] == [slates[0]["slate_id"]]
    first, again = slates[0], slates[2]
    for a, b in zip(first["items"], again["items"], strict=True):
        assert b["score"] == pytest.approx(a["score"], rel=1e-6)
        assert b["propensity"] == a["propensity"]
        assert b["attributes"] == a["attributes"]
        assert [reason["code"] for reason in b["reasons"]] == [a["reasons"][0]["code"]]
    assert again["stage"] == first["stage"]
    assert again["served_by"]["strategy"] == first["served_by"]["strategy"]


def test_other_parameters_under_the_same_key_are_a_conflict(with_service):
    async def body(caller):
        await caller.slate(**MAIL)
        subject = {"customer_id": "c-1"}
        refused = [
            await caller.http.post("/v1/recommendations", json={"subject": subject, **MAIL, **other})
            for other in ({"limit": 4}, {"channel": "web"}, {"exclude_ids": ["sku-1"]}, {"kinds": ["product"]})
        ]
        return refused, await caller.slate("c-2", **MAIL | {"limit": 4})

    refused, other = with_service(body)
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (409, "decision_key_conflict")
        assert answer.headers["content-type"] == "application/problem+json"
    assert other["decision_key"]["status"] == "first"


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "ü", "a/b"])
def test_a_key_of_other_letters_is_refused_with_its_place(with_service, key):
    async def body(caller):
        subject = {"customer_id": "c-1"}
        return await caller.http.post("/v1/recommendations", json={"subject": subject, "decision_key": key})

    answer = with_service(body)
    assert answer.status_code == 422
    assert answer.json()["pointer"] == "/decision_key"


def test_repeating_a_slate_reads_once_and_writes_nothing(with_service, redis_client):
    async def body(caller):
        await caller.slate(**MAIL)
        before = calls(redis_client)
        for _ in range(10):
            await caller.slate(**MAIL)
        return before, calls(redis_client)

    before, after = with_service(body)
    done = {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0)}
    assert done.pop("cmdstat_info", 1) <= 2
    assert {name: n for name, n in done.items() if name in {"cmdstat_hmget", "cmdstat_hget"}} == {
        "cmdstat_hmget": 10,
        "cmdstat_hget": 10,
    }
    assert not {"cmdstat_fcall", "cmdstat_xadd", "cmdstat_hset"} & set(done)


def test_first_calls_at_once_in_several_workers_agree(settings, redis_client):
    async def body():
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(calling(settings)) for _ in range(4)]
            slates = await asyncio.gather(*(workers[n % 4].slate(**MAIL) for n in range(12)))
            return slates, memory_of(workers[0], redis_client), kept_of(workers[0], redis_client)

    slates, memory, kept = asyncio.run(body())
    assert len(same(slates)) == 1
    assert sorted(slate["decision_key"]["status"] for slate in slates) == ["first", *["repeated"] * 11]
    assert len(memory.shows) == 3
    assert len(kept) == 1


def test_linked_identities_share_their_keys(with_service):
    async def body(caller):
        await caller.http.post("/v1/identities:link", json={"customer_id": "c-1", "anonymous_id": "anon:v"})
        return [await caller.slate("c-1", **MAIL), await caller.slate("anon:v", **MAIL)]

    assert len(same(with_service(body))) == 1


def test_an_email_that_renders_three_parts_and_retries_shows_one_set_of_picks(settings, store, home):
    """The store is restarted between the parts, and the worker too; the caller retries what is not reserved."""

    async def part(caller):
        for _ in range(40):
            slate = await caller.slate(**MAIL)
            if slate["reservation"]["status"] == "reserved":
                return slate
            await asyncio.sleep(0.25)
        raise AssertionError("the store did not come back")

    async def body():
        async with calling(settings) as caller:
            parts = [await part(caller), await part(caller)]
            store.kill()
            meanwhile = await caller.slate(**MAIL)
            store.start()
            parts += [await part(caller)]
        async with calling(settings) as caller:
            return [*parts, await part(caller)], meanwhile

    parts, meanwhile = asyncio.run(body())
    assert len(same(parts)) == 1
    assert same([meanwhile]) == same(parts)
    assert meanwhile["served_by"]["degraded"]["level"] > 0


def test_what_is_sold_out_or_gone_is_left_out_and_told(with_service, home):
    async def body(caller):
        first = await caller.slate(**MAIL)
        sold_out, gone, _ = ids(first)
        await caller.http.put("/v1/items", json={"item_id": sold_out, "available": False})
        left = tuple(item for item in ITEM_IDS if item != gone)
        publish(home, version="2", item_ids=left)
        await asyncio.to_thread(until, lambda: _is_version(caller, "2"))
        again = await caller.slate(**MAIL)
        return first, again

    first, again = with_service(body)
    sold_out, _, stays = ids(first)
    assert ids(again) == [stays]
    assert again["items"][0]["rank"] == 3
    assert again["slate_id"] == first["slate_id"]
    assert again["decision_key"]["missing"] == [
        {"rank": 1, "item_id": sold_out, "why": "sold_out"},
        {"rank": 2, "item_id": None, "why": "withdrawn"},
    ]
    assert again["served_by"]["version"] == first["served_by"]["version"] == "1"


def _is_version(caller, version):
    current = caller.program.serving.current
    return current is not None and current.version == version


def test_consent_that_was_taken_back_takes_a_personal_slate_back(with_service):
    async def body(caller):
        await caller.send(*(event(f"e-{n}", item_id="sku-7") for n in range(3)))
        first = await caller.slate(**MAIL)
        await caller.http.put("/v1/customers/c-1/consent", json={"personalisation": False})
        return first, [await caller.slate(**MAIL) for _ in range(3)]

    first, after = with_service(body)
    assert first["consent"]["personalised"] is True
    assert {slate["consent"]["personalised"] for slate in after} == {False}
    assert after[0]["decision_key"] == {"status": "first", "replaces": "consent_withdrawn", "missing": []}
    assert after[0]["slate_id"] != first["slate_id"]
    assert len(same(after)) == 1
    assert after[1]["decision_key"]["status"] == "repeated"


def test_consent_to_mail_that_was_taken_back_leaves_nothing_to_show(with_service):
    async def body(caller):
        first = await caller.slate(**MAIL)
        await caller.http.put("/v1/customers/c-1/consent", json={"email": False})
        return first, [await caller.slate(**MAIL) for _ in range(2)]

    first, after = with_service(body)
    assert first["items"]
    assert [slate["items"] for slate in after] == [[], []]
    assert after[0]["decision_key"]["replaces"] == "consent_withdrawn"
    assert len(same(after)) == 1


def test_a_slate_of_before_an_erasure_is_never_given_again(with_service, redis_client):
    async def body(caller):
        first = await caller.slate(**MAIL)
        where = caller.program.customers.keys_of("c-1")
        redis_client.hdel(where.record, "id", "x")  # what an erasure leaves: the time, and a version
        redis_client.hset(where.record, mapping={"t": time.time_ns() // 1_000, "v": 1})
        return first, [await caller.slate(**MAIL) for _ in range(2)], memory_of(caller, redis_client)

    first, after, memory = with_service(body)
    assert after[0]["decision_key"] == {"status": "first", "replaces": "erased", "missing": []}
    assert after[0]["slate_id"] != first["slate_id"]
    assert len(same(after)) == 1
    assert len(memory.shows) == 3


def test_after_seven_days_a_key_is_free_again(settings, redis_client):
    async def body():
        clock = MovingClock()
        async with calling(settings, clock) as caller:
            await caller.slate(**MAIL)
            kept = kept_of(caller, redis_client)
            where = caller.program.customers.keys_of("c-1")
            name = f"rihla:{{p{where.partition:02d}}}:k:{where.member}"
            left = redis_client.ttl(name)
            ((field, value),) = kept.items()
            old = int.to_bytes(int(time.time()) - 8 * 24 * HOUR_S, 4)
            redis_client.hset(name, mapping={field: old + value[4:], b"other": old})
            await caller.slate(**MAIL | {"decision_key": "another"})
            return left, kept, kept_of(caller, redis_client)

    left, kept, after = asyncio.run(body())
    assert 0 < left <= 7 * 24 * HOUR_S
    assert len(kept) == len(after) == 1
    assert kept.keys() != after.keys()


def test_without_the_store_every_worker_gives_the_same_slate_and_it_is_written_later(settings, store, redis_client):
    async def body():
        async with calling(settings) as caller, calling(settings) as other:
            await caller.send(event("e-1", item_id="sku-7"))
            await caller.slate()
            store.kill()
            away = [await caller.slate(**MAIL), await other.slate(**MAIL), await caller.slate(**MAIL)]
            conflict = await caller.http.post(
                "/v1/recommendations", json={"subject": {"customer_id": "c-1"}, **MAIL, "limit": 2}
            )
            store.start()
            await asyncio.to_thread(until, lambda: kept_of(caller, redis_client))
            for _ in range(40):
                back = await caller.slate(**MAIL)
                if back["reservation"]["status"] == "reserved":
                    break
                await asyncio.sleep(0.25)
            return away, conflict, back, memory_of(caller, redis_client)

    away, conflict, back, memory = asyncio.run(body())
    assert {slate["slate_id"] for slate in away} == {back["slate_id"]}
    assert {tuple(ids(slate)) for slate in [*away, back]} == {tuple(ids(back))}
    assert {slate["reservation"]["status"] for slate in away} == {"unreserved"}
    assert {slate["consent"]["personalised"] for slate in away} == {False}
    assert all(slate["served_by"]["degraded"]["level"] > 0 for slate in away)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "decision_key_conflict")
    assert back["reservation"] == {"status": "reserved", "reason": None}
    assert len(memory.of_slate(back["slate_id"]).shows) == 3


def test_a_dry_run_shows_what_a_key_would_give_and_keeps_nothing(with_service, redis_client):
    async def body(caller):
        dry = await caller.slate(**MAIL, dry_run=True)
        kept = kept_of(caller, redis_client)
        first = await caller.slate(**MAIL)
        return dry, kept, first, await caller.slate(**MAIL, dry_run=True)

    dry, kept, first, again = with_service(body)
    assert dry["reservation"]["status"] == "none"
    assert not kept
    assert ids(dry) == ids(first)
    assert same([first]) == same([again])


async def batch(caller, subjects, **options):
    answer = await caller.http.post("/v1/recommendations:batch", json={"subjects": subjects, **options})
    assert answer.status_code == 200, answer.text
    return [msgspec.json.decode(line) for line in answer.text.splitlines()]


def test_a_batch_under_a_key_gives_what_single_calls_give(with_service):
    async def body(caller):
        one = await caller.slate("c-1", **MAIL)
        await caller.slate("c-3", **MAIL | {"limit": 5})
        return one, await batch(caller, [{"customer_id": f"c-{n}"} for n in (1, 2, 3)], **MAIL)

    one, lines = with_service(body)
    assert [line["status"] for line in lines] == [200, 200, 409]
    assert lines[0]["slate_id"] == one["slate_id"]
    assert ids(lines[0]) == ids(one)
    assert lines[1]["decision_key"]["status"] == "first"
    assert lines[2]["code"] == "decision_key_conflict"


def test_the_slates_of_one_subject_in_a_batch_do_not_repeat_each_other(with_service):
    subjects = [
        {"customer_id": "c-1", "placement": "top", "limit": 3, "decision_key": "spring.top"},
        {"customer_id": "c-2", "limit": 3},
        {"customer_id": "c-1", "placement": "more", "limit": 4, "decision_key": "spring.more"},
        {"anonymous_id": "anon:v", "placement": "end", "limit": 3},
    ]

    async def body(caller):
        await caller.http.post("/v1/identities:link", json={"customer_id": "c-1", "anonymous_id": "anon:v"})
        lines = await batch(caller, subjects, channel="email", distinct_across=True)
        again = await batch(caller, subjects[:3], channel="email", distinct_across=True)
        return lines, again, await batch(caller, subjects[1:2] * 2)

    lines, again, free = with_service(body)
    assert [line["index"] for line in lines] == [0, 1, 2, 3]
    own = [item for line in (lines[0], lines[2], lines[3]) for item in ids(line)]
    assert [len(line["items"]) for line in lines] == [3, 3, 4, 3]
    assert len({*own}) == len(own)
    assert ids(again[0]) == ids(lines[0])
    assert ids(again[2]) == ids(lines[2])
    assert {*ids(free[0])} & {*ids(free[1])}


def test_a_line_of_a_batch_with_a_field_it_may_not_have_says_so(with_service):
    lines = with_service(lambda caller: batch(caller, [{"customer_id": "c-1", "decision_key": "a b"}]))
    assert lines[0]["status"] == 422
    assert lines[0]["errors"][0]["pointer"] == "/subjects/0/decision_key"
