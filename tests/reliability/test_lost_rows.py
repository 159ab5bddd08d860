"""Rows 25 and 31: a store that came back empty, and an erasure under load.

That rebuilt states are equal bit for bit, and that logs, archives and bundles hold nothing of an erased customer after
the clean-up, is proved beside the code that does it, in ``tests/service``.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from service.epoch import Epoch
from service.store.clients import BACKGROUND, redis_client
from tests.reliability import load
from tests.reliability.load import Job, Stream
from tests.reliability.served import worker
from tests.reliability.shop import know, slates
from tests.service.shop import until


@pytest.fixture(scope="module")
def served(home, redis_server):
    with worker(home, redis_server.url) as made:
        yield made


def answered(http, customer_id):
    answer = http.post("/v1/recommendations", json={"subject": {"customer_id": customer_id}})
    assert answer.status_code == 200, answer.text
    return answer.json()


def shape_of(slate):
    return slate["served_by"]["strategy"], [item["item_id"] for item in slate["items"]]


def test_row_31_an_erased_customer_is_cold_within_a_second_under_load(served, size, record):
    job = Job(served.port, [Stream("live", size.rate, size.load_s, slates()[1:])])
    with served.client() as http:
        know(http)
        running = load.start(job)
        until(lambda: answered(http, "c-0")["served_by"]["strategy"] == "personal", 10)
        asked = time.monotonic()
        receipt = http.delete("/v1/customers/c-0")
        until(lambda: http.get("/v1/customers/c-0").status_code == 404, 5)
        gone_s = time.monotonic() - asked
        erased, cold = shape_of(answered(http, "c-0")), shape_of(answered(http, "never-seen"))
        answers = load.finish(running, job)["live"]
    assert receipt.status_code in {200, 202}
    assert "c-0" not in receipt.text
    assert erased[0] == cold[0]
    assert gone_s <= 1.0 * size.slack
    assert answers.share() == 1.0
    record(31, "erasure under load", "online ≤ 1 s, cold slate", f"{1000 * gone_s:.0f} ms, slate of a cold customer")


async def begin_epoch(url, home):
    """What the drainer does at its first round."""
    client = redis_client(url, BACKGROUND)
    await Epoch(client, home).beat()
    await client.aclose()


def test_row_25_a_store_that_lost_its_data_is_noticed_and_answers_go_on(home, served, redis_server, record):
    with served.client() as http:
        know(http)
        until(lambda: answered(http, "c-1")["served_by"]["degraded"]["level"] == 0, 10)
        asyncio.run(begin_epoch(redis_server.url, home))
        with redis_server.client() as client:
            client.flushall()
        lost = time.monotonic()
        degraded = until(lambda: (d := answered(http, "c-1")["served_by"]["degraded"])["reason"] and d, 15)
        noticed_s = time.monotonic() - lost
        reasons = http.get("/readyz").json()["reasons"]
    assert degraded["level"] == 3
    assert degraded["reason"] in reasons
    assert noticed_s <= 10
    record(25, "store came back empty", "noticed ≤ 10 s, level 3", f"{degraded['reason']} after {noticed_s:.1f} s")
