from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from features.events import Consent, Line
from service.clock import wall_clock
from service.decisions import decode_decision
from service.ladder import Level
from service.store.recently import MAX_AGE_US
from tests.service.conftest import calling
from tests.service.shop import MINUTE, event

read_lines = msgspec.msgpack.Decoder(tuple[Line, ...]).decode


def logged(redis_client, where, kind=b"e"):
    entries = redis_client.xrange(f"rihla:{{p{where.partition:02d}}}:events")
    return [fields[b"b"] for _, fields in entries if fields[b"k"] == kind]


async def agree(caller, customer_id="c-1", **said):
    answer = await caller.http.put(f"/v1/customers/{customer_id}/consent", json=said)
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_without_consent_a_slate_is_what_anybody_would_get(with_service):
    async def body(caller):
        await caller.send(*(event(f"e-{n}", item_id="sku-7") for n in range(4)))
        with_consent = await caller.slate()
        await agree(caller, personalisation=False)
        return with_consent, await caller.slate(), await caller.slate("nobody")

    before, after, anybody = with_service(body)
    assert before["consent"] == {"personalised": True, "channel": True}
    assert before["served_by"]["strategy"] == "personal"
    assert after["consent"] == {"personalised": False, "channel": True}
    assert after["served_by"]["strategy"] == anybody["served_by"]["strategy"] == "popular"
    assert after["items"] == anybody["items"]
    assert after["stage"]["name"] == "awareness"


def test_without_consent_what_the_request_says_still_counts(with_service):
    async def body(caller):
        await agree(caller, personalisation=False)
        return await caller.slate(anchor_items=["sku-2"], context={"cart": ["sku-1"]}, placement="product")

    slate = with_service(body)
    assert slate["served_by"]["strategy"] == "related"
    assert "sku-1" not in {item["item_id"] for item in slate["items"]}


def test_without_consent_no_profile_is_written_and_the_log_says_why(with_service, redis_client):
    async def body(caller):
        await agree(caller, personalisation=False, occurred_at=time.time() - 600)
        await caller.send(event("e-1"), event("e-2", item_id="sku-3"))
        return (await caller.known())["known"], caller.program.customers.keys_of("c-1")

    facts, where = with_service(body)
    assert facts["counts"]["views"] == facts["items_seen"] == 0
    lines = [line for raw in logged(redis_client, where) for line in read_lines(raw)]
    assert [line.type for line in lines] == ["consent", "item_view", "item_view"]
    assert all(line.consent & Consent.KNOWN and not line.consent & Consent.PERSONALISATION for line in lines[1:])
    for stage in ("awareness", "engagement", "transaction", "retention"):
        assert redis_client.zscore(f"rihla:{{p{where.partition:02d}}}:in:{stage}", where.member) is None


def test_an_event_counts_by_the_consent_of_its_own_time(with_service):
    async def body(caller):
        now = time.time()
        await agree(caller, personalisation=False, occurred_at=now - 600)
        await agree(caller, personalisation=True, occurred_at=now - 300)
        await caller.send(*(event(f"e-{ago}", occurred_at=now - ago) for ago in (900, 450, 100)))
        return (await caller.known())["known"]["counts"]["views"]

    assert with_service(body) == 2


def test_consent_sent_with_other_events_holds_for_them_whatever_their_order(with_service):
    async def body(caller):
        withdrawn = event("w", type="consent", item_id=None, properties={"personalisation": False})
        withdrawn["occurred_at"] -= 60
        await caller.send(event("e-1"), withdrawn, event("e-2"))
        return (await caller.known())["known"]["counts"]["views"]

    assert with_service(body) == 0


def test_the_latest_word_wins_in_any_order_of_arrival(with_service):
    async def body(caller):
        now = time.time()
        await agree(caller, email=False, occurred_at=now - 10)
        await agree(caller, email=True, occurred_at=now - 20)
        return (await caller.known())["consent"]

    said = with_service(body)
    assert said["email"]["is_given"] is False
    assert said["personalisation"] == {"is_given": True, "since": None}


def test_a_repeat_is_known_by_its_event_id(with_service):
    async def body(caller):
        first = await agree(caller, email=False, event_id="w-1")
        return first, await agree(caller, email=False, event_id="w-1")

    first, second = with_service(body)
    assert first == {"event_id": "w-1", "accepted": 1, "duplicates": 0}
    assert second == {"event_id": "w-1", "accepted": 0, "duplicates": 1}


def test_who_unsubscribes_is_offered_no_slate_for_email(with_service):
    async def body(caller):
        before = await caller.slate(channel="email")
        await caller.send(event("u-1", type="message_unsubscribe", item_id=None, channel="email"))
        batch = await caller.http.post(
            "/v1/recommendations:batch", json={"subjects": [{"customer_id": "c-1"}], "channel": "email"}
        )
        return before, await caller.slate(channel="email"), await caller.slate(), batch

    before, email, web, batch = with_service(body)
    assert before["items"]
    assert (email["items"], email["served_by"]["strategy"]) == ([], "withheld")
    assert email["consent"] == {"personalised": True, "channel": False}
    assert web["items"]
    assert web["consent"] == {"personalised": True, "channel": True}
    assert batch.status_code == 200
    assert msgspec.json.decode(batch.content)["consent"]["channel"] is False


def test_the_decision_record_says_whether_a_profile_was_used(with_service, redis_client):
    async def body(caller):
        await caller.slate()
        await agree(caller, personalisation=False)
        await caller.slate()
        return caller.program.customers.keys_of("c-1")

    where = with_service(body)
    assert [decode_decision(raw).personalised for raw in logged(redis_client, where, b"d")] == [True, False]


def test_what_holds_without_a_word_is_a_setting(settings):
    opt_in = settings.model_copy(update={"default_consent_personalisation": False, "default_consent_email": False})

    async def body():
        async with calling(opt_in) as caller:
            await caller.send(event("e-1", occurred_at=time.time() - 80))
            before = await caller.slate(channel="email")
            await agree(caller, personalisation=True, email=True, occurred_at=time.time() - 70)
            await caller.send(event("e-2"))
            return before, await caller.slate(channel="email"), await caller.known()

    before, after, facts = asyncio.run(body())
    assert before["consent"] == {"personalised": False, "channel": False}
    assert after["consent"] == {"personalised": True, "channel": True}
    assert facts["known"]["counts"]["views"] == 1


def test_while_the_store_is_away_a_profile_is_used_for_a_minute_after_its_consent_was_seen(settings, store):
    later_us = [0]

    async def body():
        async with calling(settings, lambda: wall_clock() + later_us[0]) as caller:
            await caller.send(event("e-1"))
            await caller.slate()
            store.kill()
            soon = await caller.slate()
            later_us[0] = MAX_AGE_US + MINUTE
            return soon, await caller.slate()

    try:
        soon, later = asyncio.run(body())
    finally:
        store.start()
    assert soon["consent"]["personalised"]
    assert soon["served_by"]["degraded"]["level"] == Level.STALE
    assert not later["consent"]["personalised"]
    assert later["served_by"]["degraded"]["level"] == Level.POPULAR


def test_a_profile_that_may_not_be_used_is_not_kept_for_when_the_store_is_away(settings, store):
    async def body():
        async with calling(settings) as caller:
            await caller.send(event("e-1"))
            await agree(caller, personalisation=False, email=False)
            await caller.slate()
            store.kill()
            return await caller.slate(), await caller.slate(channel="email")

    try:
        web, email = asyncio.run(body())
    finally:
        store.start()
    assert web["consent"] == {"personalised": False, "channel": True}
    assert (email["items"], email["consent"]["channel"]) == ([], False)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"mail": True}, "/mail"),
        ({"email": "yes"}, "/email"),
        ({"email": True, "occurred_at": "x"}, "/occurred_at"),
    ],
)
def test_consent_that_cannot_be_read_is_refused_with_the_field(with_service, body, pointer):
    async def ask(caller):
        return await caller.http.put("/v1/customers/c-1/consent", json=body)

    answer = with_service(ask)
    assert answer.status_code == 422
    assert answer.json()["pointer"] == pointer
