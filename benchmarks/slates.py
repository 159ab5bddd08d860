"""The service under load, one worker: slates beside the floor, latency at a constant rate, events in."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.request
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from redis import Redis

from benchmarks.arithmetic import median
from benchmarks.budgets import Row
from benchmarks.floor import KEY
from benchmarks.load import Job, generate, get, post
from benchmarks.served import Served, cpu_s, floor, memory_of
from benchmarks.shop import point_to
from features.settings import load_settings, pepper_of
from service.bootstrap import assemble
from service.clock import wall_clock
from service.store.coalesced import Calls
from service.store.customers import Change, Customers
from service.store.functions import load_functions
from service.store.recently import Recently

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.arithmetic import OpenLoop
    from benchmarks.shop import Shop
    from service.bootstrap import Program

MICROS = 1_000_000
N_REQUESTS = 60_000
N_KEYED = 200
"""Few, so that nearly all of their slates are repeats."""
BATCH = 100
MOST_SUBJECTS = 1_000
SWAP_S = 30.0


class Measured(NamedTuple):
    """Answers a second, processor time of the server a request in µs, and requests that failed."""

    rate: float
    cpu_us: float
    n_failed: int


class Throughput(NamedTuple):
    """Rounds of each kind of request, taken in turns so that all see the same machine."""

    floor: list[Measured]
    full: list[Measured]
    blended: list[Measured]
    popular: list[Measured]
    keyed: list[Measured]

    @property
    def full_rate(self) -> float:
        return median([one.rate for one in self.full])

    @property
    def full_cpu_us(self) -> float:
        return median([one.cpu_us for one in self.full])


def store_states(shop: Shop, served: Served) -> None:
    """Put the states of the shop's customers into the store, as events would have left them."""
    settings = load_settings(home=shop.home, redis_url=served.redis_url)

    async def put() -> None:
        program = assemble(settings)
        customers = patient_customers(program)
        await load_functions(program.clients.background)
        for customer_id, state in zip(shop.customer_ids, shop.states, strict=True):
            record = (await customers.load(customer_id, shop.now)).asked
            standing = shop.engine.journey.stage_of(state, shop.now)
            await customers.commit(record, Change(standing, shop.now, "event", state))
        await program.clients.aclose()

    asyncio.run(put())


def patient_customers(program: Program) -> Customers:
    """Customers over a connection that waits for a busy machine, as a request would not."""
    settings, calls = program.settings, Calls.patient(program.clients.background)
    journey = program.customers.journey
    return Customers(calls, journey, Recently(wall_clock), pepper_of(settings), settings.state_ttl_days)


def throughput(shop: Shop, served: Served, seconds: float, rounds: int) -> Throughput:
    """The floor, the full pipeline, the popular slate and the repeated one, interleaved."""
    full = slate_requests(shop)
    again = [f"{path_of(customer_id)}?decision_key=again" for customer_id in shop.customer_ids[:N_KEYED]]
    for path in again:  # the first time decides
        answer_to(served, path)
    keyed = [get(path) for path in again]
    plain = [get("/slate")] * N_REQUESTS
    with Redis.from_url(served.redis_url) as store:
        store.set(KEY, example(shop, served))
    found = Throughput([], [], [], [], [])
    with floor(served.redis_url, shop.home / "floor.log") as (port, pid):
        for number in range(rounds):
            strangers = [get(path_of(f"nobody-{number}-{n}")) for n in range(N_REQUESTS)]
            found.floor.append(_measured(port, pid, plain, seconds))
            found.full.append(_measured(served.port, served.worker(), full, seconds))
            found.popular.append(_measured(served.port, served.worker(), strangers, seconds))
            found.keyed.append(_measured(served.port, served.worker(), keyed * (N_REQUESTS // len(keyed)), seconds))
            with without_ranker(shop, served):
                found.blended.append(_measured(served.port, served.worker(), full, seconds))
    return found


@contextmanager
def without_ranker(shop: Shop, served: Served) -> Iterator[None]:
    """Serve the bundle that has no ranker for a while."""
    full, blended = shop.bundles
    _serve(shop, served, blended)
    yield
    _serve(shop, served, full)


def _serve(shop: Shop, served: Served, name: str) -> None:
    point_to(shop.home, name)
    ends = time.monotonic() + SWAP_S
    while msgspec.json.decode(answer_to(served, "/v1/model"))["version"] != name:
        if time.monotonic() > ends:
            raise TimeoutError(f"the service did not take the bundle {name} within {SWAP_S:.0f} s")
        time.sleep(0.05)


def throughput_rows(found: Throughput, us_of_steps: str) -> list[Row]:
    return [
        _ratio(found, found.full, "slate, full pipeline", 0.20, us_of_steps),
        _ratio(found, found.blended, "slate, blend only", 0.35, "the same model without its ranker"),
        _ratio(
            found, found.popular, "slate, popular", 0.70, "customers nobody knows: read, reservation and routing remain"
        ),
        _ratio(found, found.keyed, "slate, keyed repeat", 0.70, "one round trip; what is kept becomes an answer again"),
    ]


def latency_rows(shop: Shop, served: Served, rate: float, seconds: float) -> list[Row]:
    """p99 at a constant rate, from the moment each request was due: alone, then beside batches."""
    job = Job(served.port, slate_requests(shop), seconds, rate=rate)
    alone = generate(job).open
    with batches_of_slates(shop, served) as n_lines:
        beside = generate(job).open
    assert alone is not None
    assert beside is not None
    return [_alone_row(alone, rate, seconds), _beside_row(alone, beside, rate, sum(n_lines) / seconds)]


def _alone_row(found: OpenLoop, rate: float, seconds: float) -> Row:
    name, budget = "p99, open loop", "≤ 50 ms, never over 150 ms"
    share = f"{rate:.0f} a second for {seconds:.0f} s, half of what one worker can; p50 {found.p50_s * 1000:.1f} ms"
    if found.is_void:
        note = f"{share}; the generator was late for {found.late_share:.1%}: try again on a quieter machine"
        return Row(name, budget, "void", None, note)
    measured = f"{found.p99_s * 1000:.1f} ms, at most {found.max_s * 1000:.0f} ms"
    met = found.p99_s <= 0.05 and found.max_s <= 0.15 and not found.n_failed
    note = f"{share}; {found.n_failed} failed, generator late {found.late_share:.2%}"
    return Row(name, budget, measured, met, note if met else f"{note}; requests queue behind slates that are decided")


def _beside_row(alone: OpenLoop, beside: OpenLoop, rate: float, lines_a_second: float) -> Row:
    name, budget = "p99 beside batches of 1,000", "≤ 2 times that of live slates alone"
    if alone.is_void or beside.is_void:
        return Row(name, budget, "void", None, "the generator was late: try again on a quieter machine")
    times = beside.p99_s / alone.p99_s
    note = f"{rate:.0f} live ones a second beside {lines_a_second:.0f} lines a second, one batch after the other"
    note += f"; {1000 * alone.p99_s:.1f} ms alone; {beside.n_failed} failed"
    return Row(name, budget, f"{times:.1f} times, {1000 * beside.p99_s:.1f} ms", times <= 2, note)


@contextmanager
def batches_of_slates(shop: Shop, served: Served) -> Iterator[list[int]]:
    """Ask for batches of up to a thousand customers one after the other; how many lines each brought so far."""
    body = msgspec.json.encode({"subjects": [{"customer_id": each} for each in shop.customer_ids[:MOST_SUBJECTS]]})
    n_lines: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            with closing(HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
                connection.request("POST", "/v1/recommendations:batch", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                n_lines.append(0)
                while answer.status == HTTPStatus.OK and not over.is_set() and answer.readline():
                    n_lines[-1] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield n_lines
    finally:
        over.set()
        asking.join()


def events_row(shop: Shop, served: Served, seconds: float) -> Row:
    """Events a second of one worker; an answer of 202 says that the store holds them."""
    job = Job(served.port, batches(shop, int(seconds * 8_000 // BATCH)), seconds, connections=4, status=202)
    pid = served.worker()
    before, found = cpu_s(pid), generate(job)
    rate = found.rate * BATCH
    cpu_us = (cpu_s(pid) - before) * MICROS / max(1, found.n * BATCH)
    note = f"{found.n:,} batches of {BATCH} over {len(shop.customer_ids):,} customers, {found.n_failed} failed"
    note += f"; {cpu_us:.0f} µs of the worker an event: validation, merge, stage and a commit a customer"
    return Row("events in, durable", "≥ 5,000 events/s a worker", f"{rate:,.0f} events/s", rate >= 5_000, note)


def start_rows(served: Served) -> list[Row]:
    """How soon it is ready, and what a worker holds."""
    memory = memory_of(served.worker())
    note = "what it shares with other processes counted by its share of it (PSS); resident, with all that is shared,"
    note += f" {memory.resident:.0f} MiB; and {memory.bundle:.0f} MiB of the mapped bundle; the shares of all processes"
    note += f" {sum(memory_of(pid).share for pid in served.children()):.0f} MiB"
    share = f"{memory.share:.0f} MiB"
    return [
        Row("start of the service", "ready in ≤ 3 s", f"{served.ready_s:.1f} s", served.ready_s <= 3, "one worker"),
        Row("memory of a worker", "≤ 150 MiB beside the bundle", share, memory.share <= 150, note),
    ]


def slate_requests(shop: Shop) -> list[bytes]:
    """Page views of customers who are known, in random order."""
    rng = np.random.default_rng(1)
    known = [get(path_of(customer_id)) for customer_id in shop.customer_ids]
    return [known[i] for i in rng.integers(0, len(known), N_REQUESTS).tolist()]


def batches(shop: Shop, n: int) -> list[bytes]:
    """Batches of new item views of known customers, now."""
    rng, at = np.random.default_rng(2), time.time_ns() // 1_000 / MICROS
    who = rng.integers(0, len(shop.customer_ids), (n, BATCH)).tolist()
    what = rng.integers(0, len(shop.engine.items), (n, BATCH)).tolist()

    def batch(row: int) -> bytes:
        views = [_view(shop, f"b{row}-{i}", who[row][i], what[row][i], at) for i in range(BATCH)]
        return post("/v1/events", msgspec.json.encode(views))

    return [batch(row) for row in range(n)]


def path_of(customer_id: str) -> str:
    return f"/v1/customers/{customer_id}/recommendations"


def example(shop: Shop, served: Served) -> bytes:
    """One answer of the service: the bytes that the floor sends."""
    return answer_to(served, path_of(shop.customer_ids[0]))


def answer_to(served: Served, path: str) -> bytes:
    """The body of one answer."""
    url = f"http://127.0.0.1:{served.port}{path}"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())


def _view(shop: Shop, event_id: str, who: int, what: int, at: float) -> dict[str, object]:
    return {
        "event_id": event_id,
        "type": "item_view",
        "item_id": shop.engine.items.item_id(what),
        "occurred_at": at,
        "customer_id": shop.customer_ids[who],
    }


def _measured(port: int, pid: int, requests: list[bytes], seconds: float) -> Measured:
    before = cpu_s(pid)
    found = generate(Job(port, requests, seconds))
    return Measured(found.rate, (cpu_s(pid) - before) * MICROS / max(1, found.n), found.n_failed)


def _ratio(found: Throughput, ours: list[Measured], name: str, budget: float, note: str) -> Row:
    base, rate = median([one.rate for one in found.floor]), median([one.rate for one in ours])
    ratio = rate / base
    cpu, cpu_base = median([one.cpu_us for one in ours]), median([one.cpu_us for one in found.floor])
    how = f"{rate:,.0f}/s against {base:,.0f}/s; {cpu:,.0f} µs of the worker against {cpu_base:,.0f}"
    if n_failed := sum(one.n_failed for one in ours):
        how += f"; {n_failed} failed"
    return Row(name, f"≥ {budget:.2f} of the floor", f"{ratio:.2f}", ratio >= budget, f"{how}; {note}")
