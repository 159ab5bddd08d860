"""The same customers and the same bytes of their states, online over a real store and offline from its log."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import InvalidData
from features.settings import pepper_of
from service.clock import wall_clock
from service.drainer import Drainer
from service.store.clients import BACKGROUND, redis_client
from service.store.coalesced import Calls
from service.store.customers import Customers
from service.store.drain import DrainStore
from service.store.recently import Recently
from tests.service.conftest import calling
from training.load import Data
from training.log import EventLog
from training.split import states_of

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

IDS = ("c-1", "c-2", *(f"anon:{n}" for n in range(9)))
ids = st.sampled_from(IDS)
ago_s = st.sampled_from([10, 20, 30, 40, 50])


@st.composite
def happenings(draw):
    """What can happen to a few identities within a minute, as events without their ids."""
    fields = {"customer_id": draw(ids), "ago_s": draw(ago_s)}
    kind = draw(st.sampled_from(["item_view", "purchase", "link", "link", "link", "unlink", "consent", "identify"]))
    if kind in {"link", "unlink"}:
        other = draw(ids.filter(lambda each: each != fields["customer_id"]))
        return {**fields, "type": kind, "properties": {"from": other}}
    if kind == "consent":
        return {**fields, "type": kind, "properties": {"personalisation": draw(st.booleans())}}
    if kind == "identify":
        return {**fields, "type": kind, "properties": {"locale": draw(st.sampled_from(["tr", "ar"]))}}
    stated = draw(st.sampled_from([{}, {}, {"consent": {"personalisation": False}}, {"consent": {"email": True}}]))
    return {**fields, **stated, "type": kind, "item_id": draw(st.sampled_from(["sku-1", "sku-2"]))}


def events_of(happened, now):
    return [
        {"event_id": f"e-{n}", "occurred_at": now - each["ago_s"], **{k: v for k, v in each.items() if k != "ago_s"}}
        for n, each in enumerate(happened)
    ]


async def told(caller, events, dice):
    """Send events in any order, one or several at a time, some of them twice."""
    sent = [*events, *dice.sample(events, len(events) // 3)]
    dice.shuffle(sent)
    while sent:
        n = dice.randint(1, 4)
        for _ in range(20):  # a busy machine may be late; what was taken already counts once all the same
            answer = await caller.http.post("/v1/events", json=sent[:n])
            if answer.status_code != 503:
                break
        assert answer.status_code == 202, answer.text
        assert {each["code"] for each in answer.json()["rejected"]} <= {"group_full"}
        sent = sent[n:]


async def drain(url, data):
    client = redis_client(url, BACKGROUND)
    await Drainer(DrainStore(client, "test"), data).round()
    await client.aclose()


async def online(configured, happened, dice, data):
    """Group and encoded state of every identity, once all has arrived."""
    async with calling(configured) as caller:
        await told(caller, events_of(happened, time.time()), dice)
        program = caller.program
        calls = Calls.patient(program.clients.background)
        customers = Customers(calls, program.customers.journey, Recently(wall_clock), pepper_of(configured), 400)
        known = {each: await customers.read(each) for each in IDS}
        schema = customers.codec.schema
        await drain(configured.redis_url, data)
        return schema, {each: (found.ids, schema.encode(found.state)) for each, found in known.items()}


def offline(schema, data):
    """The same, from the log."""
    try:
        EventLog.open(data)
    except InvalidData:  # nothing was accepted
        return {each: ((each,), schema.encode(schema.empty())) for each in IDS}
    found = Data(data)
    groups = {
        head: tuple(members)
        for head, members in itertools.groupby(sorted(found.heads, key=found.heads.get), found.heads.get)
    }
    table = states_of(found, IDS, np.full(len(IDS), found.until, np.int64), schema)
    return {
        each: (groups.get(found.heads.get(each, each), (each,)), schema.encode(table.state(n)))
        for n, each in enumerate(IDS)
    }


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(happened=st.lists(happenings(), max_size=40), dice=st.randoms(use_true_random=False))
def test_links_unlinks_consent_and_events_in_any_order_give_the_same_customers_both_ways(
    request, tmp_path_factory, happened, dice
):
    configured = request.getfixturevalue("settings")
    with redis.Redis.from_url(configured.redis_url) as client:
        client.flushall()
    data = tmp_path_factory.mktemp("data")
    schema, expected = asyncio.run(online(configured, happened, dice, data))
    found = offline(schema, data)
    shutil.rmtree(data)
    assert {each: (set(group), state) for each, (group, state) in found.items()} == {
        each: (set(group), state) for each, (group, state) in expected.items()
    }
