"""Rows 4, 6 and 26: a slow network, a broken one, and a server that says what is wrong with it."""

from __future__ import annotations

import asyncio

import pytest

from features.settings import load_settings
from service.ladder import Reason
from tests.reliability import load
from tests.reliability.conftest import level_of, unharmed
from tests.reliability.load import Job, Stream
from tests.reliability.proxy import Proxy
from tests.reliability.scripted import Scripted
from tests.reliability.served import worker
from tests.reliability.shop import know, slates
from tests.reliability.writers import stored_ids
from tests.service.conftest import calling
from tests.service.shop import event, until


@pytest.fixture(scope="module")
def proxy(redis_server):
    with Proxy(str(redis_server.embedded.socket), seed=4) as made:
        yield made


@pytest.fixture(scope="module")
def served(home, proxy):
    with worker(home, proxy.url) as made, made.client() as http:
        know(http)
        yield made


SLOW = [(5, 1, 1.0), (15, 5, 1.0), (50, 20, 1.0), (500, 100, 1.0), (500, 0, 0.1)]


@pytest.mark.parametrize(("ms", "jitter_ms", "toxicity"), SLOW)
def test_row_4_a_slow_network_lowers_the_level_and_never_the_answer(
    proxy, served, size, record, ms, jitter_ms, toxicity
):
    proxy.latency(ms, jitter_ms, toxicity)
    job = Job(served.port, [Stream("live", size.rate, size.load_s, slates())])
    with unharmed(served):
        answers = load.run(job)["live"]
        proxy.heal()
    assert answers.share() == 1.0
    longest = answers.quantile_ms(1.0)
    assert longest <= 150 * size.slack or answers.is_void
    if ms == 5:
        assert answers.level_share(0) >= (0.99 if size.is_full else 0.9)
    told = f"{100 * answers.share():.1f} % ok, {100 * answers.level_share(0):.1f} % level 0, max {longest:.0f} ms"
    fault = f"answers {ms} ± {jitter_ms} ms late on {100 * toxicity:.0f} % of connections"
    record(4, fault, "100 % ok, max ≤ 150 ms; 5 ms: ≥ 99 % level 0", told)


VERBS = {
    "reset": lambda proxy: proxy.reset(),
    "sliced by 1 byte": lambda proxy: proxy.slice(1),
    "cut after 7 bytes": lambda proxy: proxy.limit(7),
    "3 % random bytes": lambda proxy: proxy.corrupt(0.03),
}


@pytest.mark.parametrize("verb", VERBS)
def test_row_6_a_broken_reply_is_no_value_and_no_write_is_done_twice(proxy, served, redis_server, size, record, verb):
    n = 300 if size.is_full else 60
    own = [f"{verb}-{k}" for k in range(50)]  # whose caps no other row has used up
    with unharmed(served), served.client() as http:
        assert http.post("/v1/events", json=[event(f"know-{each}", each) for each in own]).status_code == 202
        VERBS[verb](proxy)
        answers = [slate_of(http, own[k % 50]) for k in range(n)]
        written = [http.post("/v1/events", json=event(f"{verb}-{k}", f"w6-{k}")).status_code for k in range(10)]
        proxy.heal()
        until(lambda: level_of(http, "c-1") == 0, 10)
    with redis_server.client() as client:
        stored = stored_ids(client, verb)
    statuses = [status for status, _ in answers]
    strategies = {strategy for _, strategy in answers}
    assert set(statuses) == {200}
    assert strategies <= {"personal", "popular"}
    assert set(written) <= {202, 503}
    assert len(stored) == len(set(stored))
    assert len(stored) >= written.count(202)
    told = f"0 of {n} slates 5xx; {written.count(202)} of 10 writes accepted, {len(stored)} done, none twice"
    record(6, f"replies: {verb}", "0 wrong values, 0 5xx on reads, one execution a write", told)


def slate_of(http, customer_id):
    answer = http.post("/v1/recommendations", json={"subject": {"customer_id": customer_id}})
    return answer.status_code, answer.json()["served_by"]["strategy"] if answer.status_code == 200 else ""


def test_row_6_a_write_whose_reply_is_lost_is_executed_once(home, record):
    """At a server that counts: it takes the write and cuts the connection in place of an answer."""

    async def body(store, through):
        async with calling(load_settings(home=home, redis_url=through.url)) as caller:
            first = await caller.http.post("/v1/events", json=talk("first"))  # its connection is used again
            before = store.asked["FCALL"]
            through.reset()
            second = await caller.http.post("/v1/events", json=talk("second"))
            return first.status_code, second.status_code, store.asked["FCALL"] - before

    def talk(event_id):
        return event(event_id, None, type="share", channel="social")

    with Scripted(b"_\r\n") as store, Proxy(store.port) as through:
        first, second, n_calls = asyncio.run(body(store, through))
    assert (first, second) == (202, 503)
    assert n_calls == 1
    record(6, "a write's reply is lost", "executed once", f"{n_calls} execution")


NOT_READY = {
    "LOADING Valkey is loading the dataset in memory": Reason.STORE_LOADING,
    "READONLY You can't write against a read only replica.": Reason.STORE_READ_ONLY,
    "BUSY Valkey is busy running a script.": Reason.STORE_BUSY,
    "MISCONF Errors writing to the AOF file: No space left on device": Reason.STORE_MISCONFIGURED,
    "NOAUTH Authentication required.": Reason.STORE_DENIED,
    "NOPERM this user has no permissions": Reason.STORE_DENIED,
    "DENIED Valkey is running in protected mode": Reason.STORE_DENIED,
    "MOVED 3999 127.0.0.1:6381": Reason.STORE_MOVED,
    "CLUSTERDOWN The cluster is down": Reason.STORE_DOWN,
    "ERR max number of clients reached": Reason.STORE_CROWDED,
}


@pytest.mark.parametrize("told", NOT_READY, ids=lambda told: told.split()[0])
def test_row_26_what_a_server_says_of_itself_is_one_named_reason(home, record, capsys, told):
    async def body(store):
        async with calling(load_settings(home=home, redis_url=store.url)) as caller:
            slates = [await caller.slate(f"c-{n}") for n in range(30)]
            refused = await caller.http.post("/v1/events", json=event("e-1"))
            ready = (await caller.http.get("/readyz")).json()
        return slates, refused, ready

    with Scripted(f"-{told}\r\n".encode()) as store:
        slates, refused, ready = asyncio.run(body(store))
    degraded = [slate["served_by"]["degraded"] for slate in slates]
    assert {each["level"] for each in degraded} == {3}
    assert degraded[-1]["reason"] == NOT_READY[told]  # a time-out of a busy machine may have come before
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert ready["reasons"] == [NOT_READY[told]]
    assert capsys.readouterr().out.count("store_away") <= 2  # reads and writes, once each and not once a request
    assert store.asked.get("ASKING", 0) == 0
    record(26, told.split()[0], "one reason, reads 100 % ok", f"{NOT_READY[told]}, 30 of 30 slates")


def test_row_26_a_real_server_that_is_a_replica_or_crowded(home, redis_server, record):
    async def body():
        async with calling(load_settings(home=home, redis_url=redis_server.url)) as caller:
            with redis_server.client() as client:
                client.execute_command("REPLICAOF", "127.0.0.1", "1")
                slate = await caller.slate("c-replica")
                refused = await caller.http.post("/v1/events", json=event("e-replica"))
                client.execute_command("REPLICAOF", "NO", "ONE")
                client.config_set("maxclients", "1")
                async with calling(load_settings(home=home, redis_url=redis_server.url)) as late:
                    crowded = await late.slate("c-crowded")
                client.config_set("maxclients", "1000")
        return slate, refused, crowded

    slate, refused, crowded = asyncio.run(body())
    assert slate["items"]
    assert refused.status_code == 503
    assert crowded["items"]
    assert crowded["served_by"]["degraded"]["reason"] in {Reason.STORE_CROWDED, Reason.STORE_UNAVAILABLE}
    told = f"replica: reads go on, writes {refused.status_code}; crowded: {crowded['served_by']['degraded']['reason']}"
    record(26, "a real replica, maxclients reached", "reads 100 % ok", told)
