from __future__ import annotations

import asyncio
import json
import math
from contextlib import nullcontext
from datetime import datetime

import pytest

from features.ids import key64, to_path
from service.ask import AT_ONCE, Batch
from service.decisions import Decision, decode_decision
from service.live import LONGEST_WAIT_S, Live
from tests.service.shop import ITEM_IDS, event


def decisions(redis_client) -> list[Decision]:
    entries = [entry for key in redis_client.scan_iter("rihla:*:events") for entry in redis_client.xrange(key)]
    return [decode_decision(fields[b"b"]) for _, fields in entries if fields[b"k"] == b"d"]


def test_a_customer_nobody_knows_gets_a_popular_slate_that_says_so(with_service):
    answer = with_service(lambda caller: caller.slate("nobody", limit=4))
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3, 4]
    assert answer["served_by"] == {
        "model": "rihla",
        "version": "1",
        "alias": "champion",
        "strategy": "popular",
        "variant": "default",
        "degraded": {"level": 0, "reason": None},
    }
    assert answer["stage"]["name"] == "awareness"
    assert {reason["code"] for item in answer["items"] for reason in item["reasons"]} == {"popular"}


def test_an_accepted_event_changes_the_next_slate_of_another_worker(with_service, settings):
    from tests.service.conftest import calling

    async def body(caller):
        before = await caller.slate("c-1")
        await caller.send(event("e-1", item_id="sku-7"), event("e-2", item_id="sku-7"))
        async with calling(settings) as other:
            return before, await other.slate("c-1")

    before, after = with_service(body)
    assert before["served_by"]["strategy"] == "popular"
    assert after["served_by"]["strategy"] == "personal"
    assert after["stage"]["name"] == "engagement"
    assert after["items"][0]["item_id"] in {"sku-7", "sku-8"}


def test_the_stage_comes_with_its_moves_and_their_reasons_sum_to_the_logit(with_service):
    async def body(caller):
        await caller.send(event("e-1", item_id="sku-7"), event("e-2", item_id="sku-8"))
        known = (await caller.http.get("/v1/customers/c-1")).json()
        return await caller.slate("c-1"), await caller.slate("c-1", explain="none"), known

    explained, bare, known = with_service(body)
    moves = explained["stage"]["moves"]
    assert [(move["move"], move["horizon_days"]) for move in moves] == [("first_intent", 1), ("first_order", 7)]
    for move in moves:
        logit = math.log(move["probability"] / (1 - move["probability"]))
        assert math.isclose(sum(reason["weight"] for reason in move["reasons"]), logit, abs_tol=1e-6)
    assert [reason["code"] for reason in moves[0]["reasons"]] == ["base", "views"]
    assert known["stage"]["moves"] == moves
    assert bare["stage"]["moves"] == []


def test_somebody_nobody_knows_has_no_moves_where_the_bundle_has_none_for_them(with_service):
    assert with_service(lambda caller: caller.slate("nobody"))["stage"]["moves"] == []


def test_reasons_sum_to_the_score_of_their_item(with_service):
    async def body(caller):
        await caller.send(event("e-1", item_id="sku-7"))
        return await caller.slate("c-1")

    for item in with_service(body)["items"]:
        assert math.isclose(sum(reason["weight"] for reason in item["reasons"]), item["score"], abs_tol=1e-9)
        assert 0 < item["propensity"] <= 1


def test_reasons_are_short_unless_all_are_asked_for_and_sum_to_the_score_either_way(with_service):
    async def body(caller):
        await caller.send(event("e-1", item_id="sku-7"), event("e-2", item_id="sku-8"))
        return await caller.slate("c-1", dry_run=True), await caller.slate("c-1", dry_run=True, explain="full")

    short, full = with_service(body)
    for few, every in zip(short["items"], full["items"], strict=True):
        assert len(few["reasons"]) <= min(4, len(every["reasons"]))
        for item in (few, every):
            assert sum(reason["weight"] for reason in item["reasons"]) == pytest.approx(item["score"], abs=1e-6)


def test_explain_none_gives_no_reasons_and_full_says_what_was_held_back(with_service):
    async def body(caller):
        await caller.send(event("e-1", type="purchase", item_id="sku-1"))
        return await caller.slate(explain="none"), await caller.slate(explain="full")

    none, full = with_service(body)
    assert all("reasons" not in item for item in none["items"])
    assert "suppressed" not in none
    assert {"item_id": "sku-1", "why": "just_bought"} in full["suppressed"]
    assert "sku-1" not in {item["item_id"] for item in full["items"]}


def test_every_slate_leaves_its_decision_record(with_service, redis_client):
    async def body(caller):
        answer = await caller.slate("müşteri-1", placement="email", channel="email", limit=3)
        await caller.slate("müşteri-1", dry_run=True)
        return answer

    answer = with_service(body)
    (record,) = decisions(redis_client)
    assert (record.slate_id, record.customer_id) == (answer["slate_id"], "müşteri-1")
    assert (record.placement, record.channel, record.stage, record.level) == ("email", "email", "awareness", 0)
    assert [slot.item_key for slot in record.slots] == [key64(item["item_id"]) for item in answer["items"]]
    assert [slot.propensity for slot in record.slots] == [1.0] * 3


def test_an_email_slate_lives_for_days_and_a_web_slate_for_half_an_hour(with_service):
    async def body(caller):
        return await caller.slate(channel="email"), await caller.slate()

    def lifetime(answer):
        made, ends = (datetime.fromisoformat(answer[name]) for name in ("generated_at", "expires_at"))
        return (ends - made).total_seconds()

    email, web = with_service(body)
    assert (lifetime(email), lifetime(web)) == (72 * 3600, 1800)


def test_the_simple_form_answers_like_the_long_one(with_service):
    async def body(caller):
        simple = await caller.http.get("/v1/customers/c-9/recommendations?limit=3&kinds=product,content&anchor=sku-2")
        long = await caller.slate("c-9", limit=3, kinds=["product", "content"], anchor_items=["sku-2"])
        return simple.json(), long

    simple, long = with_service(body)
    assert [item["item_id"] for item in simple["items"]] == [item["item_id"] for item in long["items"]]
    assert simple["items"][0]["item_id"] == "sku-3"
    assert simple["served_by"]["strategy"] == "related"


def test_kinds_candidates_exclusions_and_limits_are_kept(with_service):
    async def body(caller):
        return (
            await caller.slate(kinds=["content"]),
            await caller.slate(candidates=["sku-4", "sku-5"]),
            await caller.slate(exclude_ids=list(ITEM_IDS)),
            await caller.slate(limit=100),
        )

    content, candidates, nothing, everything = with_service(body)
    assert {item["item_id"] for item in content["items"]} == {"post-1", "post-2"}
    assert {item["item_id"] for item in candidates["items"]} == {"sku-4", "sku-5"}
    assert (nothing["items"], nothing["served_by"]["strategy"]) == ([], "empty")
    assert sorted(item["item_id"] for item in everything["items"]) == sorted(ITEM_IDS)


def test_an_anonymous_visitor_is_the_same_with_and_without_the_prefix(with_service):
    async def body(caller):
        await caller.send(event("e-1", None, anonymous_id="9f2c", item_id="sku-7"))
        ask = [{"subject": {"anonymous_id": visitor}} for visitor in ("9f2c", "anon:9f2c")]
        return [(await caller.http.post("/v1/recommendations", json=each)).json() for each in ask]

    assert [answer["served_by"]["strategy"] for answer in with_service(body)] == ["personal", "personal"]


def test_related_items_of_an_item_whose_id_needs_encoding(with_service):
    async def body(caller):
        found = await caller.http.get(f"/v1/items/{to_path('çay/🫖')}/related?limit=12")
        missing = await caller.http.get("/v1/items/sku-99/related")
        return found, missing

    found, missing = with_service(body)
    items = {item["item_id"]: item for item in found.json()["items"]}
    assert "viewed_next" in {reason["code"] for reason in items["action-1"]["reasons"]}
    assert "çay/🫖" not in items
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_a_batch_streams_a_line_a_subject_with_its_status(with_service, redis_client):
    async def body(caller):
        await caller.send(event("e-1", "c-3", item_id="sku-7"))
        subjects = [{"customer_id": f"c-{n}"} for n in range(70)] + [{"customer_id": ""}, {}]
        return await caller.http.post("/v1/recommendations:batch", json={"subjects": subjects, "limit": 2})

    answer = with_service(body)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [line["index"] for line in lines] == list(range(72))
    assert [line["status"] for line in lines] == [200] * 70 + [422] * 2
    assert lines[3]["served_by"]["strategy"] == "personal"
    assert lines[3]["subject"] == {"customer_id": "c-3"}
    assert lines[70]["errors"][0]["pointer"] == "/subjects/70/customer_id"
    assert len(decisions(redis_client)) == 70


def test_a_batch_lets_live_requests_pass_but_not_for_ever():
    async def body():
        live, clock = Live(), asyncio.get_running_loop().time
        started = clock()
        await live.let_pass()
        alone, started = clock() - started, clock()
        with live:
            await live.let_pass()
        return alone, clock() - started

    alone, beside = asyncio.run(body())
    assert alone < LONGEST_WAIT_S <= beside


@pytest.mark.parametrize(("is_about", "expected"), [(False, 2 * AT_ONCE), (True, 1)])
def test_lines_are_under_way_together_only_where_nobody_live_is_about(is_about, expected):
    async def body():
        live, inside, most = Live(), 0, 0

        async def line(batch):
            nonlocal inside, most
            async with batch.room(live):
                inside += 1
                most = max(most, inside)
                for _ in range(10):
                    await asyncio.sleep(0)
                inside -= 1

        batches = [Batch.of(is_distinct=False), Batch.of(is_distinct=False)]
        with live if is_about else nullcontext():
            await asyncio.gather(*(line(batch) for batch in batches for _ in range(AT_ONCE + 1)))
        return most

    assert asyncio.run(body()) == expected


def test_who_was_just_here_is_still_about():
    live = Live()
    seen = [live.is_about]
    with live:
        seen.append(live.is_about)
    assert [*seen, live.is_about] == [False, True, True]


def test_a_batch_that_lets_live_requests_pass_does_not_keep_its_customers_to_itself(with_service):
    async def body(caller):
        ids = [f"c-{n}" for n in range(8)]
        ask = {"subjects": [{"customer_id": customer_id} for customer_id in ids]}
        with caller.program.recommend.live:  # somebody is always waiting, so each line is let in after 50 ms
            batch = asyncio.create_task(caller.http.post("/v1/recommendations:batch", json=ask))
            await asyncio.sleep(LONGEST_WAIT_S / 2)
            await caller.slate(ids[-1])
            is_first = not batch.done()
        return is_first, (await batch).status_code

    assert with_service(body) == (True, 200)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"limit": 0}, "/limit"),
        ({"limit": "8"}, "/limit"),
        ({"limit": 1.5}, "/limit"),
        ({"kinds": ["sofa"]}, "/kinds/0"),
        ({"channel": "carrier-pigeon"}, "/channel"),
        ({"colour": 1}, "/colour"),
        ({"context": {"locale": "?"}}, "/context/locale"),
        ({"context": {"a/b~c": 1}}, "/context/a~1b~0c"),
        ({"subject": {"customer_id": "a\nb"}}, "/subject/customer_id"),
        ({"subject": {"customer_id": "x" * 129}}, "/subject/customer_id"),
        ({"subject": {"customer_id": "a", "anonymous_id": "b"}}, "/subject"),
        ({"subject": 3}, "/subject"),
        ({"anchor_items": ["ok", 3]}, "/anchor_items/1"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_pointer(with_service, redis_client, change, pointer):
    answer = with_service(
        lambda caller: caller.http.post("/v1/recommendations", json={"subject": {"customer_id": "c"}} | change)
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["pointer"] == pointer
    assert not list(redis_client.scan_iter("*"))
