"""Rows 20, 22 and 24: too much to do, a worker that is killed, a disk that is full."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import load as closed_loop
from service.drainer import Drainer
from service.store.clients import BACKGROUND, redis_client
from service.store.drain import DrainStore
from tests.reliability import load
from tests.reliability.conftest import level_of, unharmed
from tests.reliability.history import judge
from tests.reliability.load import Job, Stream
from tests.reliability.served import whole, worker
from tests.reliability.shop import batch, know, slates
from tests.reliability.writers import Writers, stored_ids
from tests.service.shop import event, publish, until
from tests.service.test_supervisor import logged

PROBE_S = 2.0


def in_time(job, tries=3):
    """What became of a job whose generator was in time; None where it never was, which says nothing of the service."""
    for _ in range(tries):
        found = load.run(job)
        if not any(answers.is_void for answers in found.values()):
            return found
    return None


def undecided(record, step):
    record(20, step, "goodput ≥ 90 % of R, p99 ≤ 100 ms, 503 median < 5 ms", "void: generator late three times")
    pytest.skip(f"{step}: the load generator was late three times, so nothing was measured")


def rated(served):
    """Half of what one worker answers in full: R of the matrix."""
    found = closed_loop.generate(closed_loop.Job(served.port, slates() * 200, PROBE_S))
    return found.rate / 2


@contextmanager
def apart(*pids):
    """Some processes on one core, this one and what it starts on the others: a generator among them would be late."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        yield
        return
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores[:1])
    os.sched_setaffinity(0, cores[1:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@pytest.mark.whole  # what a machine that does other work answers at overload says little of the service
@pytest.mark.timeout(400)
def test_row_20_overload_is_refused_early_batch_first_and_leaves_no_mark(home, redis_server, size, record):
    steps, missed = (2, 5, 10) if size.is_full else (4,), []
    with (
        worker(home, redis_server.url) as served,
        unharmed(served),
        apart(served.process.pid, redis_server.pid),
    ):
        with served.client() as http:
            know(http)
        rate = rated(served)
        for factor in steps:
            streams = [
                Stream("live", factor * rate, size.load_s, slates(), connections=300),
                Stream("bulk", 20.0, size.load_s, [batch(50)], connections=40),
            ]
            found = in_time(Job(served.port, streams)) or undecided(record, f"{factor} × R")
            live, bulk = found["live"], found["bulk"]
            good, refused = live.where(status=200), live.where(status=503)
            goodput = len(good) / size.load_s
            assert {answer.status for answer in live} <= {200, 503}
            assert {answer.status for answer in bulk} <= {200, 503}
            assert refused
            assert bulk.share(503) >= live.share(503) or bulk.share(503) > 0.5
            told = f"goodput {100 * goodput / rate:.0f} % of R = {rate:.0f}/s; p99 {good.quantile_ms(0.99):.0f} ms; "
            told += f"503 median {refused.quantile_ms(0.5):.1f} ms; batch refused {100 * bulk.share(503):.0f} %"
            record(20, f"{factor} × R", "goodput ≥ 90 % of R, p99 ≤ 100 ms, 503 median < 5 ms", told)
            assert goodput >= 0.9 * rate
            is_fast = good.quantile_ms(0.99) <= 100 * size.slack and refused.quantile_ms(0.5) <= 5 * size.slack
            missed += [f"{factor} × R: {told}"] if size.is_full and not is_fast else []
            calm = Job(served.port, [Stream("live", rate / 2, 2.0, slates(), after=1.0)])
            after = in_time(calm) or undecided(record, f"after {factor} × R")
            assert after["live"].share() >= 0.99
        refusals = served.metric('rihla_admission_total{class="bulk",outcome="')
    assert refusals > 0
    assert not missed, "; ".join(missed)


@pytest.mark.timeout(300)
def test_row_22_a_killed_worker_costs_its_own_requests_and_no_event(tmp_path, size, record):
    publish(tmp_path)
    kills, history, back_s = (6 if size.is_full else 1), [], []
    with whole(tmp_path) as served:
        with served.client() as http:
            until(lambda: level_of(http, "c-1") == 0, 20)
            know(http)
        writers, over = Writers(served.port, 8, "w22"), threading.Event()
        writing = threading.Thread(target=lambda: asyncio.run(writers.write(over.is_set)))
        writing.start()
        for _ in range(kills):
            seen = len(writers.history)
            until(lambda seen=seen: len(writers.history) > seen + 50, 20)
            victim = served.children("service.worker")[0]
            os.kill(victim, signal.SIGKILL)
            killed = time.monotonic()
            until(lambda victim=victim: victim not in served.children("service.worker"), 5)
            until(lambda: len(served.children("service.worker")) == 2, 10)
            back_s.append(time.monotonic() - killed)
        over.set()
        writing.join()
        history = writers.history
        broken = sum(op.status == 0 for op in history)  # under way on a connection that had been answered before
        accepted = {op.event_id for op in history if op.outcome == "ok"}
        until(lambda: accepted <= {row["event_id"] for row in logged(served)}, 20)
        stored = [row["event_id"] for row in logged(served) if row["event_id"].startswith("w22")]
    assert judge(history, stored).is_clean
    assert broken <= 8 * kills
    assert max(back_s) <= 3 * size.slack
    told = f"{broken} requests broke in {kills} kills of 8 connections; 0 of {len(accepted)} events lost; "
    told += f"started again within {max(back_s):.1f} s"
    record(22, "worker killed -9", "≤ 1 per kill and connection; respawn ≤ 3 s; 0 lost", told)


def limited(pid, n_bytes):
    """No file of a process may grow beyond so many bytes: what a full disk looks like to it (EFBIG for ENOSPC)."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))


def written(redis_server):
    """The append-only file that is written now."""
    return max(
        (redis_server.embedded.directory / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime_ns
    )


def rewrite(redis_server):
    """Have the append-only file rewritten; from then on another one is written."""
    before = written(redis_server)
    with redis_server.client() as client:
        client.bgrewriteaof()
    until(lambda: not before.exists() and written(redis_server) != before)


@pytest.mark.parametrize("is_rewritten", [False, True], ids=["as started", "rewritten"])
def test_row_24_a_store_that_cannot_write_its_file_refuses_and_comes_back(
    home, redis_server, size, record, is_rewritten
):
    """A rewritten file is opened in another way, and keeps a hole where the store could not write."""
    with worker(home, redis_server.url) as served, served.client() as http, unharmed(served):
        know(http)
        if is_rewritten:
            rewrite(redis_server)
        limited(redis_server.pid, written(redis_server).stat().st_size + 4_096)
        statuses = []

        def is_refused():
            answer = http.post("/v1/events", json=event(f"full-{len(statuses)}", f"w-{len(statuses) % 9}"))
            statuses.append((answer.status_code, answer.json().get("code")))
            return answer.status_code == 503

        until(is_refused, 20)
        levels = [level_of(http, f"c-{n}") for n in range(30)]
        limited(redis_server.pid, resource.RLIM_INFINITY)
        freed = time.monotonic()
        until(lambda: http.post("/v1/events", json=event(f"free-{time.monotonic_ns()}")).status_code == 202, 15)
        resumed_s = time.monotonic() - freed
        accepted = {f"full-{n}" for n, (status, _) in enumerate(statuses) if status == 202}
        redis_server.kill9()
        redis_server.restart()
        with redis_server.client() as client:
            stored = stored_ids(client, "full-")
    assert set(levels) <= {0, 1}  # read afresh; nothing can be reserved
    assert accepted <= set(stored)
    assert len(stored) == len(set(stored))
    assert resumed_s <= 5 * size.slack
    told = f"reads 30 of 30 at level {max(levels)}; {statuses[-1][1]}; writes after {resumed_s:.1f} s; "
    told += f"0 of {len(accepted)} lost after kill -9"
    what = f"append-only file cannot grow{', after a rewrite' if is_rewritten else ''}"
    record(24, what, "0 5xx on reads; writes ≤ 5 s after; file loads clean", told)


def test_row_24_a_log_that_cannot_be_written_keeps_its_events(home, redis_server, tmp_path, record):
    """The drainer's disk: a directory that takes nothing stands for one without room."""
    with worker(home, redis_server.url) as served, served.client() as http:
        know(http)

    async def rounds(data):
        """Until nothing waits any more: a round takes no more than it can hold."""
        client, moved = redis_client(redis_server.url, BACKGROUND), 0
        try:
            drainer = Drainer(DrainStore(client, "own"), data)
            while n := await drainer.round():
                moved += n
            return moved
        finally:
            await client.aclose()

    data = tmp_path / "data"
    data.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        with pytest.raises(OSError, match="large"):
            asyncio.run(rounds(data))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    moved = asyncio.run(rounds(data))
    assert moved >= 150
    with redis_server.client() as client:
        assert stored_ids(client, "know-") == []
    record(24, "event log cannot be written", "nothing lost", f"{moved} records written once there was room")
