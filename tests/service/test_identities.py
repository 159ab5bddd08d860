from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
import redis

from features.events import Line
from features.identity import MAX_GROUP
from service.clock import wall_clock
from service.sweeper import Sweeper
from tests.service.conftest import calling
from tests.service.shop import event

read_lines = msgspec.msgpack.Decoder(tuple[Line, ...]).decode


async def link(caller, customer_id, other, *, undo=False, **fields):
    name = "anonymous_id" if other.startswith("anon:") else "other_customer_id"
    body = {"customer_id": customer_id, name: other, **fields}
    return await caller.http.post(f"/v1/identities:{'unlink' if undo else 'link'}", json=body)


def views(facts):
    return facts["known"]["counts"]["views"]


def test_linked_identities_are_one_customer_whichever_is_asked_about(with_service):
    async def body(caller):
        await caller.send(event("e-1", "anon:9", item_id="sku-7"), event("e-2", "c-1", item_id="sku-3"))
        answer = await link(caller, "c-1", "anon:9", event_id="login")
        assert (answer.status_code, answer.json()) == (202, {"event_id": "login", "accepted": 1, "duplicates": 0})
        return [await caller.known(each) for each in ("c-1", "anon:9")], [
            await caller.slate(each, dry_run=True)
            for each in ("c-1", "anon:9")  # what is shown fades
        ]

    facts, slates = with_service(body)
    assert [each["identities"] for each in facts] == [["c-1", "anon:9"]] * 2
    assert [views(each) for each in facts] == [2, 2]
    assert [each["known"]["items_seen"] for each in facts] == [2, 2]
    assert slates[0]["items"] == slates[1]["items"]
    assert slates[0]["stage"] == slates[1]["stage"]


def test_an_event_after_the_link_counts_for_the_whole_customer(with_service):
    async def body(caller):
        await caller.send(event("e-1", "c-1"))
        await link(caller, "c-1", "anon:9")
        await caller.send(event("e-2", "anon:9"), event("o-1", "anon:9", type="purchase"))
        return await caller.known("c-1")

    facts = with_service(body)
    assert views(facts) == 2
    assert facts["stage"]["name"] == "transaction"


def test_an_unlink_gives_each_their_own_back(with_service):
    async def body(caller):
        await caller.send(event("e-1", "anon:9"), event("e-2", "c-1"), event("e-3", "c-1"))
        await link(caller, "c-1", "anon:9")
        await link(caller, "anon:9", "c-1", undo=True)
        return await caller.known("c-1"), await caller.known("anon:9")

    one, other = with_service(body)
    assert (one["identities"], views(one)) == (["c-1"], 2)
    assert (other["identities"], views(other)) == (["anon:9"], 1)


def test_links_reach_through_others(with_service):
    async def body(caller):
        await caller.send(*(event(f"e-{n}", f"anon:{n}") for n in range(4)))
        for n in range(3):
            await link(caller, f"anon:{n}", f"anon:{n + 1}")
        return [await caller.known(f"anon:{n}") for n in range(4)]

    assert [(len(each["identities"]), views(each)) for each in with_service(body)] == [(4, 4)] * 4


def test_a_link_that_makes_too_many_of_one_customer_is_refused_and_changes_nothing(with_service):
    async def body(caller):
        answers = [await link(caller, "c-1", f"anon:{n}") for n in range(MAX_GROUP - 1)]
        refused = await link(caller, "c-1", "anon:one-more", event_id="late-login")
        batch = await caller.send(
            event("l-1", "anon:one-more", type="link", item_id=None, properties={"from": "c-1"}), event("e-1", "c-1")
        )
        freed = await link(caller, "c-1", "anon:0", undo=True)
        again = await link(caller, "c-1", "anon:one-more", event_id="late-login")
        return answers, refused, batch, freed, again, (await caller.known("c-1"))["identities"]

    answers, refused, batch, freed, again, identities = with_service(body)
    assert {answer.status_code for answer in answers} == {202}
    assert (refused.status_code, refused.json()["code"]) == (409, "group_full")
    assert [(each["index"], each["code"]) for each in batch["rejected"]] == [(0, "group_full")]
    # Sent again after a busy store's 503, what was stored the first time is a duplicate.
    assert batch["accepted"] + batch["duplicates"] == 1
    assert (freed.status_code, again.status_code) == (202, 202)
    assert identities == ["c-1", *sorted([f"anon:{n}" for n in range(1, MAX_GROUP - 1)] + ["anon:one-more"])]


def test_two_groups_are_not_joined_into_one_that_is_too_large(with_service):
    async def body(caller):
        for customer, first in (("c-1", 0), ("c-2", 10)):
            for n in range(4):
                await link(caller, customer, f"anon:{first + n}")
        return await link(caller, "anon:2", "anon:12"), await caller.known("c-1"), await caller.known("c-2")

    refused, one, other = with_service(body)
    assert refused.status_code == 409
    assert (len(one["identities"]), len(other["identities"])) == (5, 5)


def test_a_link_is_an_event_of_the_log_like_any_other(with_service, redis_client):
    async def body(caller):
        await link(caller, "c-1", "anon:9", event_id="login")
        sent = event("login-2", "c-1", type="link", item_id=None, anonymous_id="8")
        await caller.send(sent)
        assert (await caller.send(sent))["duplicates"] == 1
        where = caller.program.customers.keys_of("c-1")
        return redis_client.xrange(f"rihla:{{p{where.partition:02d}}}:events"), await caller.known("c-1")

    entries, facts = with_service(body)
    lines = [line for _, fields in entries for line in read_lines(fields[b"b"])]
    assert [(line.type, line.customer_id, line.properties) for line in lines] == [
        ("link", "c-1", '{"from":"anon:9"}'),
        ("link", "c-1", '{"from":"anon:8"}'),
    ]
    assert facts["identities"] == ["c-1", "anon:8", "anon:9"]


def test_a_repeat_repairs_a_link_whose_other_end_was_not_written(with_service, redis_client):
    async def body(caller):
        await caller.send(event("e-1", "c-1"), event("e-2", "anon:9"))
        await link(caller, "c-1", "anon:9", event_id="login")
        redis_client.hdel(caller.program.customers.keys_of("anon:9").record, "e")
        torn = [(await caller.known(each))["identities"] for each in ("c-1", "anon:9")]
        answer = await link(caller, "c-1", "anon:9", event_id="login")
        return torn, answer, await caller.known("anon:9")

    torn, answer, facts = with_service(body)
    assert torn == [["c-1"], ["anon:9"]]
    assert answer.json()["duplicates"] == 1
    assert facts["identities"] == ["c-1", "anon:9"]


def test_a_link_is_refused_while_the_store_is_away_and_taken_afterwards(settings, store):
    async def body():
        async with calling(settings) as caller:
            store.kill()
            refused = await link(caller, "c-1", "anon:9", event_id="login")
            store.start()
            for _ in range(100):
                taken = await link(caller, "c-1", "anon:9", event_id="login")
                if taken.status_code == 202:
                    break
                await asyncio.sleep(0.05)
            return refused, taken, await caller.known("anon:9")

    refused, taken, facts = asyncio.run(body())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert taken.status_code == 202
    assert facts["identities"] == ["c-1", "anon:9"]


def test_consent_of_one_identity_holds_for_the_whole_customer(with_service):
    async def body(caller):
        now = time.time()
        await caller.send(event("e-1", "c-1"), event("e-2", "anon:9"))
        await caller.http.put("/v1/customers/anon:9/consent", json={"personalisation": False, "occurred_at": now - 90})
        await link(caller, "c-1", "anon:9")
        denied = await caller.slate("c-1")
        await caller.send(event("e-3", "c-1", occurred_at=now - 30))
        await caller.http.put("/v1/customers/c-1/consent", json={"personalisation": True, "occurred_at": now - 10})
        return denied, await caller.slate("anon:9"), await caller.known("c-1")

    denied, agreed, facts = with_service(body)
    assert not denied["consent"]["personalised"]
    assert agreed["consent"]["personalised"]
    assert views(facts) == 2


def test_only_the_head_of_a_group_stands_in_a_stage(settings):
    async def body():
        async with calling(settings) as caller:
            customers = caller.program.customers
            await caller.send(event("o-1", "anon:9", type="purchase"))
            await link(caller, "c-1", "anon:9")
            await Sweeper(customers, caller.program.clients.background).sweep()
            await caller.send(event("e-1", "anon:9"))
            await Sweeper(customers, caller.program.clients.background).sweep()
            return [customers.keys_of(each) for each in ("c-1", "anon:9")]

    places = asyncio.run(body())
    with redis.Redis.from_url(settings.redis_url) as client:
        stands = [
            [
                stage
                for stage in ("awareness", "engagement", "transaction", "retention")
                if client.zscore(f"rihla:{{p{where.partition:02d}}}:in:{stage}", where.member) is not None
            ]
            for where in places
        ]
    assert stands == [["transaction"], []]


def test_a_tangle_of_links_is_read_in_few_steps_and_taken_for_nobody(with_service):
    """More links than the service lets in, as a rebuild from a log of somebody else's could leave them."""

    async def body(caller):
        from features.identity import Edge
        from service.store.customers import Change

        customers = caller.program.customers
        ids = [f"anon:{n}" for n in range(80)]
        at = wall_clock()
        for each in ids:
            record = (await customers.load(each, at)).asked
            edges = {other: Edge(at, f"{min(each, other)}", True) for other in ids if other != each}
            standing = customers.journey.stage_of(customers.empty, at)
            await customers.commit(record, Change(standing, at, "event", edges=edges))
        return await customers.read(ids[3])

    assert with_service(body).ids == ("anon:3",)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"customer_id": "c-1"}, ""),
        ({"customer_id": "c-1", "anonymous_id": "a", "other_customer_id": "b"}, ""),
        ({"customer_id": "c-1", "other_customer_id": "c-1"}, "/other_customer_id"),
        ({"customer_id": "c-1", "other_customer_id": "a@example.com"}, "/other_customer_id"),
        ({"customer_id": "", "anonymous_id": "a"}, "/customer_id"),
        ({"customer_id": "c-1", "anonymous_id": "a", "occurred_at": "yesterday"}, "/occurred_at"),
    ],
)
def test_a_link_that_cannot_be_read_is_refused_with_the_field(with_service, body, pointer):
    async def ask(caller):
        return await caller.http.post("/v1/identities:link", json=body)

    answer = with_service(ask)
    assert answer.status_code == 422
    assert answer.json()["pointer"] == pointer
