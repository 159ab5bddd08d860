"""Late, repeated, contradictory and future events, as the design has them."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from tests.service.shop import DAY, MINUTE, SECOND, event
from tests.service.test_drainer import rows
from tests.service.test_erasure import ago, drain

HOUR = 60 * MINUTE


async def views(caller, customer_id="c-1"):
    answer = await caller.http.get(f"/v1/customers/{customer_id}")
    return answer.json()["known"]["counts"]["views"]


def test_an_event_of_more_than_a_day_ago_is_logged_as_late_and_enters_no_state(with_service, settings, tmp_path):
    async def body(caller):
        await caller.send(event("e-1", occurred_at=ago(DAY - MINUTE)))
        before = await views(caller)
        sent = await caller.send(event("e-2", occurred_at=ago(DAY + MINUTE)))
        await drain(settings, tmp_path)
        return before, sent, await views(caller)

    before, sent, after = with_service(body)
    assert (before, after) == (1, 1)
    assert sent["accepted"] == 1
    assert {line["event_id"]: line["late"] for line in rows(tmp_path, "events")} == {"e-1": False, "e-2": True}


def test_a_late_event_is_known_by_its_id_like_any_other(with_service):
    async def body(caller):
        late = event("e-1", occurred_at=ago(3 * DAY))
        await caller.send(late)
        return await caller.send(late, {**late, "item_id": "sku-6"})

    answer = with_service(body)
    assert (answer["accepted"], answer["duplicates"]) == (0, 1)
    assert [each["code"] for each in answer["rejected"]] == ["id_conflict"]


@pytest.mark.parametrize(("ahead", "accepted"), [(4 * MINUTE, 1), (6 * MINUTE, 0)])
def test_an_event_may_be_five_minutes_in_the_future_and_no_more(with_service, settings, tmp_path, ahead, accepted):
    async def body(caller):
        answer = await caller.send(event("e-1", occurred_at=ago(-ahead)))
        await drain(settings, tmp_path)
        return answer

    answer = with_service(body)
    assert answer["accepted"] == accepted
    assert [each["pointer"] for each in answer["rejected"]] == ["/occurred_at"][accepted:]
    assert len(rows(tmp_path, "events")) == accepted


def test_every_order_of_arrival_gives_the_same_bytes(with_service, redis_client):
    made = [
        event(f"e-{n}", type=kind, occurred_at=ago(n * HOUR)) for n, kind in enumerate(["item_view", "cart_add"] * 3)
    ]
    orders = list(itertools.permutations(range(6)))[::24]

    async def body(caller):
        for number, order in enumerate(orders):
            await caller.send(*({**made[n], "customer_id": f"c-{number}"} for n in order))
            await caller.send({**made[order[0]], "customer_id": f"c-{number}"})
        return [caller.program.customers.keys_of(f"c-{number}").record for number in range(len(orders))]

    names = with_service(body)
    assert len({redis_client.hget(name, "s") for name in names}) == 1


def test_an_event_that_was_sent_by_many_at_once_counts_once(with_service, settings, tmp_path):
    async def body(caller):
        same = event("e-1", occurred_at=ago(10 * SECOND))
        answers = await asyncio.gather(*(caller.send(same) for _ in range(50)))
        await drain(settings, tmp_path)
        return sum(each["accepted"] for each in answers), await views(caller)

    assert with_service(body) == (1, 1)
    assert len(rows(tmp_path, "events")) == 1
