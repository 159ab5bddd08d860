from __future__ import annotations

import asyncio

import pytest

from features.ids import key64
from tests.service.conftest import calling


async def eventually(holds):
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - another worker's state has no event to wait for
            await asyncio.sleep(0.01)


def test_a_sold_out_item_is_held_back_by_every_worker(with_service):
    async def body(caller):
        async with calling(caller.program.settings) as other:
            await caller.http.put("/v1/items", json={"item_id": "sku-1", "title": "Gone", "available": False})
            await eventually(lambda: key64("sku-1") in other.program.serving.overlay.items)
            return [await each.slate(explain="full") for each in (caller, other)]

    for slate in with_service(body):
        assert {"item_id": "sku-1", "why": "unavailable"} in slate["suppressed"]
        assert "sku-1" not in {item["item_id"] for item in slate["items"]}


def test_a_worker_that_starts_later_knows_what_was_put_before(with_service):
    async def body(caller):
        await caller.http.put(
            "/v1/items", json=[{"item_id": "sku-1", "available": False}, {"item_id": "sku-2", "title": "Yeni ad"}]
        )
        async with calling(caller.program.settings) as other:
            return await other.slate(limit=12)

    items = {item["item_id"]: item for item in with_service(body)["items"]}
    assert "sku-1" not in items
    assert items["sku-2"]["attributes"]["title"] == "Yeni ad"


def test_an_item_that_the_bundle_does_not_know_may_be_asked_about(with_service):
    async def body(caller):
        await caller.http.put("/v1/items", json={"item_id": "brand-new"})
        return await caller.http.get("/v1/items/brand-new/related")

    answer = with_service(body)
    assert (answer.status_code, answer.json()["served_by"]["strategy"]) == (200, "popular")


def test_bad_rows_are_named_and_the_others_put(with_service):
    async def body(caller):
        many = await caller.http.put(
            "/v1/items", json=[{"item_id": "a"}, {"item_id": "b", "kind": "sofa"}, {"title": "x"}]
        )
        one = await caller.http.put("/v1/items", json={"item_id": "c", "price": -1})
        return many, one

    many, one = with_service(body)
    assert many.json()["accepted"] == 1
    assert [(each["index"], each["pointer"]) for each in many.json()["rejected"]] == [(1, "/kind"), (2, "/item_id")]
    assert (one.status_code, one.json()["pointer"]) == (422, "/price")


def test_two_ids_with_one_key_are_refused(with_service, monkeypatch):
    monkeypatch.setattr("service.catalog_changes.key64", lambda item_id: key64(item_id.removesuffix("'")))

    async def body(caller):
        await caller.http.put("/v1/items", json={"item_id": "twin"})
        return await caller.http.put(
            "/v1/items", json=[{"item_id": "twin'"}, {"item_id": "other"}, {"item_id": "other'"}]
        )

    answer = with_service(body)
    assert (answer.status_code, answer.json()["pointer"]) == (422, "/item_id")


@pytest.mark.parametrize("n", [500, 501])
def test_at_most_five_hundred_items_at_once(with_service, n):
    answer = with_service(lambda caller: caller.http.put("/v1/items", json=[{"item_id": f"i-{k}"} for k in range(n)]))
    assert answer.status_code == (200 if n == 500 else 422)
