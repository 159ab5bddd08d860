from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack

import msgspec
import pytest

from benchmarks.reservations import BUDGET_MS, added_by_reserving
from features.errors import InputError
from features.events import Line
from recommender.exposure import BOUGHT, CLICKED, REACTION, SEEN
from service.answers import encode
from service.bootstrap import assemble
from tests.service.conftest import calling
from tests.service.moving import HOUR_S, MINUTE_S, MovingClock, ids, memory_of, why
from tests.service.shop import DAY, ITEM_IDS, event, until

read_lines = msgspec.msgpack.Decoder(tuple[Line, ...]).decode


def capped(settings, caps):
    return settings.model_copy(update={"caps": caps})


def lines_in(caller, redis_client, customer_id="c-1"):
    where = caller.program.customers.keys_of(customer_id)
    entries = redis_client.xrange(f"rihla:{{p{where.partition:02d}}}:events")
    return [line for _, fields in entries if fields[b"k"] == b"e" for line in read_lines(fields[b"b"])]


def with_clock(settings, body):
    async def run():
        clock = MovingClock()
        async with calling(settings, clock) as caller:
            return await body(caller, clock)

    return asyncio.run(run())


def test_a_slate_says_that_it_is_reserved_and_its_items_are_remembered(with_service, redis_client):
    async def body(caller):
        slate = await caller.slate(limit=3)
        return slate, memory_of(caller, redis_client)

    slate, memory = with_service(body)
    assert slate["reservation"] == {"status": "reserved", "reason": None}
    assert len(memory.shows) == len(slate["items"]) == 3
    assert memory.of_slate(slate["slate_id"]).shows.tolist() == memory.shows.tolist()


def test_a_dry_run_reserves_nothing(with_service, redis_client):
    async def body(caller):
        slate = await caller.slate(dry_run=True)
        return slate, memory_of(caller, redis_client), redis_client.dbsize()

    slate, memory, n_keys = with_service(body)
    assert slate["reservation"]["status"] == "none"
    assert memory.is_empty
    assert n_keys == 0


def test_one_memory_holds_for_all_channels_and_says_why_an_item_is_held_back(settings):
    async def body(caller, _):
        first = await caller.slate(limit=3, channel="web")
        second = await caller.slate(limit=3, channel="email")
        third = await caller.slate(limit=12, channel="app", explain="full")
        return first, second, third

    first, second, third = with_clock(capped(settings, "item=1/1d"), body)
    assert not {*ids(first)} & {*ids(second)}
    assert {item: why(third)[item] for item in ids(first) + ids(second)} == dict.fromkeys(
        ids(first) + ids(second), "shown_enough"
    )
    assert third["served_by"]["degraded"]["level"] == 0


def test_what_is_shown_again_fades_and_says_so(with_service):
    async def body(caller):
        first = await caller.slate(limit=2, kinds=["product"], explain="full")
        return first, await caller.slate(limit=2, kinds=["product"], explain="full")

    first, second = with_service(body)
    assert first["faded"] == []
    assert {faded["item_id"] for faded in second["faded"]} == {*ids(first)}
    for item in second["items"]:
        weights = {reason["code"]: reason["weight"] for reason in item["reasons"]}
        assert sum(weights.values()) == pytest.approx(item["score"])
        assert (weights.get("faded", 0) < 0) == (item["item_id"] in ids(first))


def test_a_slate_that_nobody_saw_is_released_when_it_expires(settings):
    async def body(caller, clock):
        first = await caller.slate(limit=3)
        clock.ahead_s += 29 * MINUTE_S
        held = await caller.slate(limit=3, dry_run=True)
        clock.ahead_s += 2 * MINUTE_S
        return first, held, await caller.slate(limit=3, dry_run=True)

    first, held, released = with_clock(capped(settings, "item=1/1d"), body)
    assert not {*ids(first)} & {*ids(held)}
    assert ids(released) == ids(first)


def test_an_impression_confirms_only_the_item_that_was_seen(settings):
    async def body(caller, clock):
        first = await caller.slate(limit=3)
        seen = event("i-1", type="impression", slate_id=first["slate_id"], item_id=ids(first)[1])
        await caller.send(seen | {"occurred_at": clock.now_s})
        clock.ahead_s += 31 * MINUTE_S
        return first, await caller.slate(limit=12, explain="full", dry_run=True)

    first, later = with_clock(capped(settings, "item=1/1d"), body)
    assert {item for item, reason in why(later).items() if reason == "shown_enough"} == {ids(first)[1]}


@pytest.mark.parametrize(("sign", "ahead_s"), [("message_delivered", 73 * HOUR_S), (None, 71 * HOUR_S)])
def test_a_mailed_slate_holds_for_three_days_and_longer_once_it_was_delivered(settings, sign, ahead_s):
    async def body(caller, clock):
        first = await caller.slate(limit=3, channel="email")
        if sign:
            told = event("m-1", type=sign, slate_id=first["slate_id"], channel="email", item_id=None)
            await caller.send({**told, "occurred_at": clock.now_s})
        clock.ahead_s += ahead_s
        return first, await caller.slate(limit=3, channel="email", dry_run=True)

    first, later = with_clock(capped(settings, "item.email=1/7d"), body)
    assert not {*ids(first)} & {*ids(later)}


def test_a_mailed_slate_without_a_sign_is_released_after_three_days(settings):
    async def body(caller, clock):
        first = await caller.slate(limit=3, channel="email")
        clock.ahead_s += 73 * HOUR_S
        return first, await caller.slate(limit=3, channel="email", dry_run=True)

    first, later = with_clock(capped(settings, "item.email=1/7d"), body)
    assert ids(later) == ids(first)


def test_a_click_and_a_purchase_need_only_the_slate_and_the_item(with_service, redis_client):
    async def body(caller):
        slate = await caller.slate(limit=3)
        now = time.time()
        about = {"slate_id": slate["slate_id"], "occurred_at": now}
        await caller.send(
            {"event_id": "e-1", "customer_id": "c-1", "type": "slate_click", "item_id": ids(slate)[0], **about},
            {"event_id": "e-2", "customer_id": "c-1", "type": "purchase", "item_id": ids(slate)[1], **about},
        )
        return memory_of(caller, redis_client), lines_in(caller, redis_client)

    memory, lines = with_service(body)
    assert sorted(memory.shows[:, REACTION].tolist()) == [0, CLICKED, BOUGHT]
    assert sorted(memory.shows[:, SEEN].tolist()) == [0, 1, 1]
    assert [line.properties for line in lines] == ["{}", "{}"]


def test_a_click_without_a_slate_is_joined_to_what_was_shown_and_marked(settings, redis_client):
    async def body(caller, clock):
        await caller.slate(limit=2)
        clock.ahead_s += HOUR_S
        slate = await caller.slate(limit=12)
        clock.ahead_s += HOUR_S
        shown = ids(slate)[0]
        unseen = next(item for item in ITEM_IDS if item not in ids(slate)) if len(slate["items"]) < 12 else "else"
        click = {"customer_id": "c-1", "type": "item_click", "occurred_at": clock.now_s, "properties": {"page": "home"}}
        await caller.send(
            {**click, "event_id": "e-1", "item_id": shown},
            {**click, "event_id": "e-2", "item_id": unseen},
            {"event_id": "e-3", "customer_id": "c-1", "type": "purchase", "occurred_at": clock.now_s}
            | {"items": [{"item_id": shown}, {"item_id": unseen}]},
        )
        clock.ahead_s += 25 * HOUR_S
        await caller.send({**click, "event_id": "e-4", "item_id": ids(slate)[1], "occurred_at": clock.now_s})
        return slate, memory_of(caller, redis_client), lines_in(caller, redis_client)

    slate, memory, lines = with_clock(settings, body)
    first, other, bought, rest, late = lines
    assert first.slate_id == bought.slate_id == slate["slate_id"]
    assert first.properties == '{"page":"home","slate_inferred":true}'
    assert bought.properties == '{"slate_inferred":true}'
    assert other.slate_id is rest.slate_id is late.slate_id is None
    assert late.properties == '{"page":"home"}'
    assert memory.of_slate(slate["slate_id"]).shows[:, REACTION].max() == BOUGHT


def test_linked_identities_count_together(settings):
    async def body(caller, _):
        anonymous = await caller.slate("anon:v-1", limit=3)
        answer = await caller.http.post("/v1/identities:link", json={"customer_id": "c-1", "anonymous_id": "anon:v-1"})
        assert answer.status_code < 300, answer.text
        known = await caller.slate("c-1", limit=3)
        again = await caller.slate("anon:v-1", limit=3)
        return anonymous, known, again

    slates = with_clock(capped(settings, "item=1/1d"), body)
    assert [slate["reservation"] for slate in slates] == [{"status": "reserved", "reason": None}] * 3
    shown = [item for slate in slates for item in ids(slate)]
    assert len(shown) == 9
    assert len({*shown}) == len(shown)


def test_a_thousand_calls_at_once_over_four_channels_break_no_cap(settings):
    """Four workers, one customer; every answer of level 0 holds the caps among all of them."""
    caps = "item=4/1h, item.email=2/1h, kind.content=9/1h, channel.email=30/1h"

    async def body():
        async with AsyncExitStack() as stack:
            workers = [await stack.enter_async_context(calling(capped(settings, caps))) for _ in range(4)]
            random.seed(4)

            async def one(number):
                channel = ("web", "app", "email", "phone")[number % 4]
                options = _options(limit=random.randint(1, 4), channel=channel)
                answer = await random.choice(workers).program.recommend("c-1", options)
                return channel, msgspec.json.decode(encode(answer))

            return await asyncio.gather(*map(one, range(1_000)))

    answers = asyncio.run(body())
    assert len(answers) == 1_000
    assert {answer["reservation"]["status"] for _, answer in answers} <= {"reserved", "unreserved"}
    good = [(channel, answer) for channel, answer in answers if answer["served_by"]["degraded"]["level"] == 0]
    assert all(answer["reservation"]["status"] == "reserved" for _, answer in good)
    assert len(good) > 900
    shown = Counter(item["item_id"] for _, answer in good for item in answer["items"])
    mailed = Counter(item["item_id"] for channel, answer in good if channel == "email" for item in answer["items"])
    content = sum(item["kind"] == "content" for _, answer in good for item in answer["items"])
    assert max(shown.values()) == 4
    assert max(mailed.values()) <= 2
    assert content <= 9
    assert sum(mailed.values()) <= 30


DISTURB = """
import os, socket, sys, threading
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1].removeprefix("unix://"))
threading.Thread(target=lambda: [server.recv(1 << 16) for _ in iter(int, 1)], daemon=True).start()
word = lambda raw: b"$%d\\r\\n%s\\r\\n" % (len(raw), raw)
change = lambda: b"*4\\r\\n" + b"".join(map(word, (b"HSET", sys.argv[2].encode(), b"x", os.urandom(8))))
changes = b"".join(change() for _ in range(1_000))
while True:
    server.sendall(changes)
"""
"""Changes a record without a pause, so that something comes between any two commands of others."""


def test_when_something_always_comes_between_the_slate_goes_out_unreserved(settings, store, redis_client):
    async def body(caller, _):
        await caller.slate()
        record = caller.program.customers.keys_of("c-1").record
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", DISTURB, store.url, record)
        try:
            stamp = redis_client.hget(record, "x")
            await asyncio.to_thread(until, lambda: redis_client.hget(record, "x") != stamp)
            for _ in range(40):  # whoever disturbs may be off the processor for the length of a try
                slate = await caller.program.recommend("c-1", _options())
                if slate["reservation"]["status"] == "unreserved":
                    return slate
            return slate
        finally:
            process.kill()
            await process.wait()

    slate = with_clock(settings, body)
    assert slate["reservation"] == {"status": "unreserved", "reason": "store_contended"}
    assert slate["served_by"]["degraded"] == {"level": 1, "reason": "store_contended"}
    assert slate["items"]


def test_a_memory_that_cannot_be_read_is_taken_for_empty_and_written_anew(with_service, redis_client):
    async def body(caller):
        first = await caller.slate()
        record = caller.program.customers.keys_of("c-1").record
        redis_client.hset(record, "x", redis_client.hget(record, "x")[:-1] + b"?")
        second = await caller.slate()
        return first, second, memory_of(caller, redis_client)

    first, second, memory = with_service(body)
    assert ids(second) == ids(first)
    assert second["reservation"]["status"] == "reserved"
    assert len(memory.shows) == len(second["items"])


def test_a_visitor_of_whom_nothing_is_known_is_counted_and_forgotten_after_a_day(with_service, redis_client):
    async def body(caller):
        answers = [await caller.http.get(f"/v1/customers/anon:{n}/recommendations") for n in range(3)]
        records = [caller.program.customers.keys_of(f"anon:{n}").record for n in range(3)]
        return [answer.json() for answer in answers], [redis_client.ttl(record) for record in records]

    slates, lives = with_service(body)
    assert len({tuple(ids(slate)) for slate in slates}) == 1
    assert {slate["reservation"]["status"] for slate in slates} == {"reserved"}
    assert all(0 < left <= DAY // 1_000_000 for left in lives)


def test_events_and_slates_of_one_customer_do_not_wait_for_each_other(settings, redis_client):
    """A slate changes no version that an event commits on, so neither has to try again."""

    async def body(caller, _):
        await caller.slate()
        where = caller.program.customers.keys_of("c-1").record
        known = await caller.program.customers.load("c-1", time.time_ns() // 1_000)
        await caller.slate()
        answer = await caller.send(event("e-1"))
        return known.asked.version, redis_client.hget(where, "v"), answer

    version, after, answer = with_clock(settings, body)
    assert (version, after, answer["accepted"]) == (0, b"1", 1)


def test_caps_that_cannot_be_read_stop_the_start(settings):
    with pytest.raises(InputError):
        assemble(capped(settings, "shoes=3/1d"))


def _options(**options):
    from service.models import SlateOptions

    return SlateOptions.model_validate_json(msgspec.json.encode(options))


def test_reserving_adds_little_to_a_slate(with_service):
    """The budget is 3 ms at p99 of a quiet machine; machines that run tests are busy, so the bound is wide."""
    names = [f"c-{n}" for n in range(200)]
    added = with_service(lambda caller: added_by_reserving(caller.program.recommend, names, 400))
    assert added.reserved_p50 - added.dry_p50 < 5 * BUDGET_MS
    assert added.p99 < 30 * BUDGET_MS
