from __future__ import annotations

import asyncio

from service.ask import Ask
from service.models import SlateQuery
from tests.service.moving import ids
from tests.service.shop import until

PATH = "/v1/customers/c-1/recommendations"
KEYED = {"decision_key": "spring.1"}


async def again(caller, **more):
    answer = await caller.http.get(PATH, params=KEYED | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_was_shown_for_a_key_is_looked_up_anew_when_an_item_changes(with_service):
    async def body(caller):
        slates = [await again(caller) for _ in range(3)]
        sold_out = ids(slates[0])[0]
        await caller.http.put("/v1/items", json={"item_id": sold_out, "available": False})
        await asyncio.to_thread(until, lambda: caller.program.serving.overlay.items)
        return slates, sold_out, await again(caller)

    slates, sold_out, after = with_service(body)
    assert slates[1] == slates[2]
    assert ids(slates[0]) == ids(slates[1])
    assert ids(after) == ids(slates[0])[1:]
    assert [missing["item_id"] for missing in after["decision_key"]["missing"]] == [sold_out]


def test_each_way_of_explaining_a_repeat_is_given_as_asked(with_service):
    async def body(caller):
        return [await again(caller, explain=explain) for explain in ("short", "none", "short")]

    first, bare, short = with_service(body)
    assert all("reasons" in item for item in short["items"])
    assert not any("reasons" in item for item in bare["items"])
    assert ids(first) == ids(bare) == ids(short)


def test_an_erasure_leaves_nothing_of_what_was_shown(with_service):
    async def body(caller):
        before = [await again(caller) for _ in range(2)][1]
        await caller.http.delete("/v1/customers/c-1")
        return before, await again(caller)

    before, after = with_service(body)
    assert before["decision_key"]["status"] == "repeated"
    assert after["slate_id"] != before["slate_id"]


def test_a_worker_that_may_not_have_heard_of_an_erasure_asks_the_store_alone(with_service):
    async def body(caller):
        before = [await again(caller) for _ in range(2)][1]
        ask = Ask.of("c-1", caller.program.customers.keys_of("c-1"), SlateQuery(**KEYED).options())
        was_kept = caller.program.reserving.kept_lately(ask)
        caller.program.memories.forget_everybody()
        return before, was_kept, caller.program.reserving.kept_lately(ask), await again(caller)

    before, was_kept, is_kept, after = with_service(body)
    assert was_kept is not None
    assert is_kept is None
    assert after["slate_id"] == before["slate_id"]


def test_what_the_short_way_refuses_is_told_as_everywhere(with_service):
    async def body(caller):
        wrong = await caller.http.get(PATH, params={"limit": 0})
        unknown = await caller.http.get(PATH, params={"colour": "red"})
        other = await caller.http.delete(PATH)
        numbers = (await caller.http.get("/metrics")).text
        return wrong, unknown, other, numbers

    wrong, unknown, other, numbers = with_service(body)
    assert (wrong.status_code, wrong.json()["pointer"]) == (422, "/query/limit")
    assert (unknown.status_code, unknown.json()["pointer"]) == (422, "/query/colour")
    assert other.status_code == 405
    assert 'rihla_requests_total{route="/v1/customers/{customer_id}/recommendations",status="422"}' in numbers
