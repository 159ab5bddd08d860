"""Rows 1, 2, 3 and 5: the store is killed, gone, frozen, full."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import pytest

from tests.reliability import load
from tests.reliability.conftest import RECOVERY_S, level_of, unharmed
from tests.reliability.history import judge
from tests.reliability.load import Job, Stream
from tests.reliability.served import worker
from tests.reliability.shop import know, slates
from tests.reliability.slow_disk import killed_while_the_disk_is_slow
from tests.reliability.writers import Writers, stored_ids
from tests.service.shop import event, until

LEAD_S = 1.0
SLOW_S = 2.0
ALL_OK = "100 % ok"


@pytest.fixture(scope="module")
def served(home, redis_server):
    with worker(home, redis_server.url) as made:
        yield made


def percent(share):
    return f"{100 * share:.2f} %"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fsync", ["no", "always"])
def test_row_1_every_202_survives_kill_9_of_the_store(redis_server, served, size, record, fsync):
    dice, history, stored = random.Random(f"1 {fsync}"), [], []

    def round_of(number):
        writers, killed = Writers(served.port, size.writers, f"{fsync}{number}"), threading.Event()
        writing = threading.Thread(target=lambda: asyncio.run(writers.write(killed.is_set)))
        writing.start()
        wanted = dice.randrange(50, 300)  # kill after so many answers
        until(lambda: len(writers.history) >= wanted, 20)
        redis_server.kill9()  # from here: the server ends with the thread that started it
        until(lambda: any(op.status == 503 for op in writers.history), 10)
        redis_server.restart()
        killed.set()
        writing.join()
        return writers.history

    with unharmed(served):
        for number in range(size.rounds):
            with redis_server.client() as client:
                client.config_set("appendfsync", fsync)
            with served.client() as http:
                until(lambda http=http: can_write(http, f"ready-{time.monotonic_ns()}"), 10)
            history += round_of(number)
            with redis_server.client() as client:
                stored = stored_ids(client, fsync)
    verdict = judge(history, stored)
    accepted = [op for op in history if op.outcome == "ok"]
    refused = [op.ended_at - op.began_at for op in history if op.status == 503]
    assert verdict.is_clean, verdict
    assert {op.status for op in history} <= {202, 503}
    assert len(accepted) > 20 * size.rounds
    assert refused
    slowest = 1000 * load.percentile(refused, 0.99)
    assert slowest <= 150 * size.slack
    told = f"0 of {len(accepted):,} lost in {size.rounds} kills ({fsync}); 503 p99 {slowest:.0f} ms"
    record(1, "store killed -9 while events are written", "0 lost; 503 ≤ 150 ms", told)


def test_row_1_every_202_survives_kill_9_while_the_disk_is_slow(redis_server, served, record):
    """A server that is told to sync would keep in memory what it answers meanwhile."""
    writers, over = Writers(served.port, 4, "slow"), threading.Event()
    writing = threading.Thread(target=lambda: asyncio.run(writers.write(over.is_set)))
    with unharmed(served):
        with served.client() as http:
            until(lambda: can_write(http, f"ready-{time.monotonic_ns()}"), 10)
        with killed_while_the_disk_is_slow(redis_server.pid):
            writing.start()
            time.sleep(SLOW_S)
        over.set()
        writing.join()
        redis_server.kill9()
        redis_server.restart()
        with redis_server.client() as client:
            stored = stored_ids(client, "slow")
    accepted = [op for op in writers.history if op.outcome == "ok"]
    assert judge(writers.history, stored).is_clean
    assert len(accepted) > 100
    record(1, "store killed -9, its disk slow for 2 s", "0 lost", f"0 of {len(accepted):,} lost")


def can_write(http, event_id):
    return http.post("/v1/events", json=event(event_id, "w-ready")).status_code == 202


def test_row_2_with_the_store_down_every_slate_is_answered_and_soon_whole_again(redis_server, served, size, record):
    with served.client() as http:
        know(http)
    before = served.metric("rihla_store_probes_total")
    job = Job(served.port, [Stream("live", size.rate, LEAD_S + size.fault_s + 6, slates())])
    with unharmed(served):
        process = load.start(job)
        until_begun(served, LEAD_S * size.rate)
        redis_server.kill9()
        killed = time.monotonic()
        time.sleep(size.fault_s)  # the length of the fault
        probes = served.metric("rihla_store_probes_total") - before
        redis_server.restart()
        with served.client() as http:
            until(lambda: level_of(http, "c-1") == 0, 10)
        back_s = time.monotonic() - killed - size.fault_s
        answers = load.finish(process, job)["live"]
    assert answers.share() == 1.0
    settled = answers.where(since=LEAD_S + 1, until=LEAD_S + size.fault_s)
    assert answers.level_share(1) > 0  # known customers from this worker's memory
    assert settled.quantile_ms(0.99) <= 50 * size.slack or answers.is_void
    assert back_s <= RECOVERY_S
    assert probes <= 2 * (size.fault_s / 2 + 1)  # reads and writes have a breaker each
    told = (
        f"{percent(answers.share())} of {len(answers)} ok; p99 {settled.quantile_ms(0.99):.0f} ms with the breaker open"
    )
    told += f"; level 0 after {back_s:.1f} s; {probes:.0f} probes in {size.fault_s:.0f} s, two breakers"
    record(2, "store down during reads", f"{ALL_OK}; p99 ≤ 50 ms; level 0 ≤ 5 s; ≤ 1 probe / 2 s", told)


def until_begun(served, n):
    """Wait until so many requests of the load have come."""
    name = 'rihla_requests_total{route="/v1/recommendations"'
    before = served.metric(name)
    until(lambda: served.metric(name) - before >= n, 30)


def test_row_3_a_frozen_store_holds_nobody_up_and_doubles_no_write(redis_server, served, size, record):
    with served.client() as http:
        know(http)
    job = Job(served.port, [Stream("live", size.rate, LEAD_S + size.fault_s + 3, slates())])
    with unharmed(served), served.client() as http:
        process = load.start(job)
        until_begun(served, LEAD_S * size.rate)
        redis_server.freeze()
        frozen = time.monotonic()
        statuses = []
        n_sockets = 0
        for n in range(10):
            statuses.append(http.post("/v1/events", json=event(f"frozen-{n}", f"w-{n}")).status_code)
            n_sockets = max(n_sockets, served.n_files())
        until(lambda: time.monotonic() - frozen >= size.fault_s, size.fault_s + 5)
        redis_server.thaw()
        until(lambda: can_write(http, f"thawed-{time.monotonic_ns()}"), 10)
        again = [http.post("/v1/events", json=event(f"frozen-{n}", f"w-{n}")).status_code for n in range(10)]
        answers = load.finish(process, job)["live"]
        with redis_server.client() as client:
            stored = stored_ids(client, "frozen-")
    assert set(statuses) == {503}
    assert set(again) <= {202, 409}  # another moment in the body of the same id: it was stored after all
    assert len(stored) == len(set(stored)) == 10
    assert answers.share() == 1.0
    assert n_sockets < 200  # two pools of 64, the load's connections and our own
    longest = answers.quantile_ms(1.0)
    assert longest <= 150 * size.slack or answers.is_void
    told = f"{percent(answers.share())} of {len(answers)} ok; p99 {answers.quantile_ms(0.99):.0f} ms"
    told += f", max {longest:.0f} ms; 10 of 10 writes once"
    record(3, "store frozen, connections open", f"{ALL_OK}, max ≤ 150 ms, nothing doubled", told)


def test_row_5_a_full_store_reads_on_refuses_writes_and_evicts_nothing(redis_server, served, size, record):
    with served.client() as http, unharmed(served):
        know(http)
        before = views_of(http)
        accepted = [f"kept-{n}" for n in range(50) if can_write(http, f"kept-{n}")]
        with redis_server.client() as client:
            n_keys = client.dbsize()
        redis_server.fill()
        refused = [http.post("/v1/events", json=event(f"full-{n}", f"c-{n}")) for n in range(30)]
        levels = [level_of(http, f"c-{n % 50}") for n in range(60)]  # read afresh; nothing can be reserved
        redis_server.free()
        started = time.monotonic()
        until(lambda: can_write(http, f"free-{time.monotonic_ns()}"), 10)
        resumed_s = time.monotonic() - started
        with redis_server.client() as client:
            left, stored = client.dbsize(), stored_ids(client, "kept-")
        after = views_of(http)
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(503, "store_full")}
    assert set(levels) == {1}
    assert left >= n_keys
    assert set(stored) == set(accepted)
    assert after == before
    assert resumed_s <= RECOVERY_S
    told = f"0 of {n_keys} keys lost; 60 of 60 slates, fresh but unreserved (level 1); writes after {resumed_s:.1f} s"
    record(5, "store out of memory", "0 keys lost, reads level 0, writes ≤ 5 s", told)


def views_of(http):
    return [http.get(f"/v1/customers/c-{n}").json()["known"]["counts"]["views"] for n in range(50)]
