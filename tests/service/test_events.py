from __future__ import annotations

import asyncio

import msgspec
import pytest

from features.events import Line
from service.store import keys
from tests.service.conftest import calling
from tests.service.shop import NOW, event


def lines(redis_client) -> list[Line]:
    entries = [entry for key in sorted(redis_client.scan_iter("rihla:*:events")) for entry in redis_client.xrange(key)]
    bodies = [fields[b"b"] for _, fields in entries if fields[b"k"] == b"e"]
    return [line for body in bodies for line in msgspec.msgpack.decode(body, type=tuple[Line, ...])]


def test_what_is_accepted_is_on_the_stream_and_in_the_state(with_service, redis_client):
    async def body(caller):
        done = await caller.send(
            event("e-1"),
            event(
                "o-1",
                type="Order Completed",
                item_id=None,
                currency="TRY",
                items=[{"item_id": "sku-2", "price": 5}, "sku-3"],
            ),
        )
        return done, (await caller.http.get("/v1/customers/c-1")).json()

    done, customer = with_service(body)
    assert done == {"accepted": 2, "duplicates": 0, "rejected": []}
    assert [(line.event_id, line.line_no, line.item_id) for line in lines(redis_client)] == [
        ("e-1", 0, "sku-5"),
        ("o-1", 0, "sku-2"),
        ("o-1", 1, "sku-3"),
    ]
    assert customer["stage"]["name"] == "transaction"
    assert customer["known"]["counts"]["views"] == 1
    assert customer["known"]["spend_minor"] == 500


def test_an_event_counts_once_however_often_it_comes(with_service, redis_client):
    async def body(caller):
        same = event("e-1")
        first = await caller.send(same, same)
        async with calling(caller.program.settings) as other:
            copies = await asyncio.gather(*(each.send(same) for each in [caller, other] * 10))
        return first, copies, (await caller.http.get("/v1/customers/c-1")).json()

    first, copies, customer = with_service(body)
    assert first == {"accepted": 1, "duplicates": 1, "rejected": []}
    assert {(copy["accepted"], copy["duplicates"]) for copy in copies} == {(0, 1)}
    assert customer["known"]["counts"]["views"] == 1
    assert len(lines(redis_client)) == 1


def test_concurrent_events_of_one_customer_from_two_workers_all_count(with_service, redis_client):
    async def body(caller):
        async with calling(caller.program.settings) as other:
            sent = [[caller, other][n % 2].send(event(f"e-{n}", item_id=f"sku-{n % 8}")) for n in range(40)]
            done = await asyncio.gather(*sent)
        return done, (await caller.http.get("/v1/customers/c-1")).json()

    done, customer = with_service(body)
    assert sum(each["accepted"] for each in done) == 40
    assert customer["known"]["counts"]["views"] == 40
    assert len(lines(redis_client)) == 40


def test_the_same_id_with_another_body_is_a_conflict(with_service):
    async def body(caller):
        await caller.send(event("e-1"))
        return (
            await caller.send(event("e-1", item_id="sku-1"), event("e-2")),
            await caller.http.post("/v1/events", json=event("e-1", item_id="sku-1")),
        )

    many, one = with_service(body)
    assert (many["accepted"], many["rejected"][0]["code"], many["rejected"][0]["pointer"]) == (
        1,
        "id_conflict",
        "/event_id",
    )
    assert (one.status_code, one.json()["code"]) == (409, "id_conflict")


def test_an_event_of_an_item_alone_is_taken_once(with_service, redis_client):
    async def body(caller):
        talk = event("t-1", None, type="share", channel="social")
        again = {**talk, "item_id": "sku-6"}
        return [await caller.send(each) for each in (talk, talk, again)]

    first, second, third = with_service(body)
    assert (first["accepted"], second["duplicates"], third["rejected"][0]["code"]) == (1, 1, "id_conflict")
    assert [line.customer_id for line in lines(redis_client)] == [None]


def test_bad_events_are_named_and_the_others_taken(with_service):
    async def body(caller):
        return await caller.send(
            event("e-1"),
            event("e-2", type="teleport"),
            event("e-3", "someone@example.com"),
            event("e-4", occurred_at="yesterday"),
            event("e-5", occurred_at=4_000_000_000),
            event("e-6", colour="red"),
            event("e-7", quantity="many"),
            "no event",
        )

    done = with_service(body)
    assert done["accepted"] == 1
    assert [(each["index"], each["pointer"]) for each in done["rejected"]] == [
        (1, "/type"),
        (2, "/customer_id"),
        (3, "/occurred_at"),
        (4, "/occurred_at"),
        (5, "/colour"),
        (6, "/quantity"),
        (7, ""),
    ]


def test_a_late_event_is_logged_and_does_not_count(with_service, redis_client):
    async def body(caller):
        await caller.send(event("e-1", occurred_at="2024-01-01T00:00:00Z"))
        return (await caller.http.get("/v1/customers/c-1")).json()

    assert with_service(body)["known"]["counts"]["views"] == 0
    assert [line.late for line in lines(redis_client)] == [True]


def test_more_events_in_a_day_than_are_told_apart_get_429(with_service, monkeypatch):
    monkeypatch.setattr("service.ingest_events.MAX_SEEN", 3)

    async def body(caller):
        await caller.send(*(event(f"e-{n}") for n in range(3)))
        return await caller.http.post("/v1/events", json=event("e-9")), await caller.send(
            event("e-9"), event("f-1", "c-2")
        )

    one, many = with_service(body)
    assert (one.status_code, one.json()["code"], one.headers["retry-after"]) == (429, "too_many_events", "1")
    assert (many["accepted"], many["rejected"][0]["code"]) == (1, "too_many_events")


def test_lists_are_taken_bare_and_under_their_name_and_not_too_long(with_service):
    async def body(caller):
        named = await caller.http.post("/v1/events", json={"events": [event("e-1")]})
        long = await caller.http.post("/v1/events", json=[event(f"e-{n}") for n in range(501)])
        odd = await caller.http.post("/v1/events", json=3)
        return named, long, odd

    named, long, odd = with_service(body)
    assert (named.status_code, long.status_code, odd.status_code) == (202, 422, 422)
    assert long.json()["detail"] == "expected at most 500, got 501"


def test_the_clock_and_events_keep_who_stands_where(with_service, redis_client):
    async def body(caller):
        await caller.send(event("e-1"), event("e-2"))
        await caller.send(event("o-1", type="purchase"))
        return caller.program.customers.keys_of("c-1")

    where = with_service(body)
    members = {
        name: redis_client.zrange(keys.stage(where.partition, name), 0, -1) for name in ("engagement", "transaction")
    }
    assert members == {"engagement": [], "transaction": [where.member.encode()]}
    assert redis_client.zscore(keys.due(where.partition), where.member) > NOW / 1e3
    changes = [msgspec.json.decode(f[b"b"]) for _, f in redis_client.xrange(keys.changes(where.partition))]
    assert [(each["from"], each["to"], each["cause"]) for each in changes] == [
        (None, "engagement", "event"),
        ("engagement", "transaction", "event"),
    ]


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b'{"event_id": "e", "type": "item_view", "item_id": "i", "occurred_at": 1, "amount": NaN}', "/amount"),
        (b'[{"properties": {"deep": [1, Infinity]}}]', "/0/properties/deep/1"),
        (b'{"properties": {"x": 1e400}}', "/properties/x"),
        (b'{"customer_id": "a\\ud800b"}', "/customer_id"),
        (b'{"properties": {"\\udfff": 1}}', "/properties"),
        (b"{'event_id': 1}", ""),
        (b"", ""),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, ""),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(with_service, redis_client, raw, pointer):
    answer = with_service(
        lambda caller: caller.http.post("/v1/events", content=raw, headers={"content-type": "application/json"})
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().get("pointer") == pointer
    assert not list(redis_client.scan_iter("*"))
