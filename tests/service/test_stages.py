from __future__ import annotations

import time

import pytest

from service.audiences import AudiencePlace
from service.clock import wall_clock
from service.cursors import of_cursor, to_cursor
from service.list_changes import ChangesPlace
from service.store.clients import BACKGROUND, redis_client
from service.sweeper import Sweeper
from tests.service.conftest import calling
from tests.service.shop import DAY, SECOND, event
from tests.service.test_erasure import ago


async def page(caller, path, **query):
    answer = await caller.http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def audience(caller, stage, limit):
    """Everybody in a stage, page by page."""
    found, cursor = [], {}
    while True:
        answer = await page(caller, f"/v1/audiences/{stage}", limit=limit, **cursor)
        assert len(answer["customers"]) <= limit
        found += answer["customers"]
        if answer["next_cursor"] is None:
            return found
        cursor = {"cursor": answer["next_cursor"]}


async def changes(caller, limit, cursor=None):
    """All changes from a cursor on, page by page; and the cursor after them."""
    found = []
    while True:
        answer = await page(caller, "/v1/stage-changes", limit=limit, **({"cursor": cursor} if cursor else {}))
        found, cursor = found + answer["changes"], answer["next_cursor"]
        if len(answer["changes"]) < limit:
            return found, cursor


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_every_customer_of_a_stage_is_met_once_and_no_other(with_service, limit):
    async def body(caller):
        await caller.send(*(event(f"e-{n}", f"c-{n}") for n in range(20)))
        await caller.send(event("p-1", "c-3", type="purchase", item_id=None, items=["sku-1"]))
        return await audience(caller, "awareness", limit), await audience(caller, "transaction", limit)

    arrived, buying = with_service(body)
    assert sorted(each["customer_id"] for each in arrived) == sorted(f"c-{n}" for n in range(20) if n != 3)
    assert [each["customer_id"] for each in buying] == ["c-3"]


def test_customers_who_entered_at_the_same_moment_are_all_met(with_service):
    async def body(caller):
        at = ago(60 * SECOND)
        await caller.send(*(event(f"e-{n}", f"c-{n}", occurred_at=at) for n in range(300)))
        return await audience(caller, "awareness", 2)

    assert len({each["customer_id"] for each in with_service(body)}) == 300


def test_an_audience_says_what_each_may_be_sent_and_leaves_the_erased_out(with_service):
    async def body(caller):
        await caller.send(*(event(f"e-{n}", f"c-{n}") for n in range(3)))
        await caller.send({**event("s-1", "c-1"), "type": "consent", "item_id": None, "properties": {"email": False}})
        await caller.http.delete("/v1/customers/c-2")
        return await audience(caller, "awareness", 10)

    found = {each["customer_id"]: each["consent"]["email"] for each in with_service(body)}
    assert found == {"c-0": True, "c-1": False}


@pytest.mark.parametrize("limit", [1, 5, 1000])
def test_stage_changes_come_in_order_and_go_on_from_a_cursor_after_a_restart(with_service, limit):
    async def body(caller):
        await caller.send(*(event(f"e-{n}", f"c-{n}") for n in range(12)))
        first, cursor = await changes(caller, limit)
        await caller.send(event("p-1", "c-3", type="purchase", item_id=None, items=["sku-1"]))
        async with calling(caller.program.settings) as later:
            second, cursor = await changes(later, limit, cursor)
            third, _ = await changes(later, limit, cursor)
        again, _ = await changes(caller, limit)
        return first, second, third, again

    first, second, third, again = with_service(body)
    assert sorted(each["customer_id"] for each in first) == sorted(f"c-{n}" for n in range(12))
    assert [each["at"] for each in first] == sorted(each["at"] for each in first)
    assert [(each["customer_id"], each["from"], each["to"]) for each in second] == [("c-3", "awareness", "transaction")]
    assert third == []
    assert [each["id"] for each in again] == [each["id"] for each in [*first, *second]]


def test_a_customer_who_becomes_retention_by_the_clock_alone_is_seen_without_an_event(with_service, settings):
    async def body(caller):
        await caller.send(event("p-1", "c-9", type="purchase", item_id=None, items=["sku-1"]))
        _, cursor = await changes(caller, 100)
        client = redis_client(settings.redis_url, BACKGROUND)
        later = wall_clock() + 200 * DAY
        customers = caller.program.customers
        await Sweeper(customers, client, lambda: later).sweep()
        await client.aclose()
        return await changes(caller, 100, cursor)

    found, _ = with_service(body)
    assert [(each["customer_id"], each["to"], each["cause"]) for each in found] == [("c-9", "retention", "clock")]


def test_changes_of_an_erased_customer_are_told_no_more(with_service):
    async def body(caller):
        await caller.send(event("e-1"), event("e-2", "c-2"))
        await caller.http.delete("/v1/customers/c-1")
        return await changes(caller, 100)

    found, _ = with_service(body)
    assert [each["customer_id"] for each in found] == ["c-2"]


def test_a_cursor_older_than_what_is_kept_is_refused_and_one_of_a_quiet_week_is_not(with_service):
    async def body(caller):
        await caller.send(event("e-1"))
        _, cursor = await changes(caller, 100)
        place = of_cursor(cursor, ChangesPlace)
        old = ChangesPlace(place.told_until - 8 * DAY // 1000, place.positions)
        answer = await caller.http.get("/v1/stage-changes", params={"cursor": to_cursor(old)})
        return answer, cursor

    answer, cursor = with_service(body)
    assert (answer.status_code, answer.json()["code"]) == (410, "cursor_expired")
    assert len(cursor) < 2_000
    assert of_cursor(cursor, ChangesPlace).told_until > time.time() * 1000 - 60_000


@pytest.mark.parametrize(
    ("path", "query", "pointer"),
    [
        ("/v1/audiences/limbo", {}, "/path/stage"),
        ("/v1/audiences/retention", {"cursor": "!!"}, "/query/cursor"),
        ("/v1/audiences/retention", {"cursor": to_cursor(ChangesPlace(1, ()))}, "/query/cursor"),
        ("/v1/audiences/retention", {"limit": 0}, "/query/limit"),
        ("/v1/stage-changes", {"cursor": to_cursor(ChangesPlace(1, ()))}, "/query/cursor"),
        ("/v1/stage-changes", {"limit": 1001}, "/query/limit"),
    ],
)
def test_what_cannot_be_paged_is_refused_with_its_place(with_service, path, query, pointer):
    answer = with_service(lambda caller: caller.http.get(path, params=query))
    assert (answer.status_code, answer.json()["pointer"]) == (422, pointer)


def test_no_cursor_holds_an_id(with_service):
    async def body(caller):
        await caller.send(*(event(f"e-{n}", f"secret-{n}") for n in range(5)))
        return await page(caller, "/v1/audiences/awareness", limit=2)

    assert "secret" not in repr(of_cursor(with_service(body)["next_cursor"], AudiencePlace))
