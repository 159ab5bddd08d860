from __future__ import annotations

import asyncio

import msgspec
import pyarrow.parquet as pq
import pytest
import redis

from features.events import COLUMNS
from service.day_files import DECISIONS, EVENTS, merge_catalog
from service.decisions import COLUMNS as DECISION_COLUMNS
from service.decisions import Decision
from service.drainer import CatalogKeeper, Drainer, name_of
from service.store import keys
from service.store.clients import BACKGROUND, redis_client
from service.store.drain import DrainStore, Range, after
from service.store.items import ItemStore
from tests.service.shop import event


class Crash(Exception):
    """Where a test kills a drainer."""


class CrashingStore(DrainStore):
    """A drainer's store that dies before one of its calls."""

    def __init__(self, client, owner, before):
        super().__init__(client, owner)
        self._before = before

    async def set_claim(self, token, claim):
        step = "done" if claim is None else "written" if claim.is_written else "claimed"
        if self._before == step:
            raise Crash
        answer = await super().set_claim(token, claim)
        if self._before == f"after {step}":
            raise Crash
        return answer

    async def let_go(self, ranges):
        if self._before == "let_go":
            raise Crash
        await super().let_go(ranges)


def rows(data, kind):
    return [
        row
        for path in sorted(data.glob(f"{kind}/*/*.parquet"))
        for row in pq.read_table(path, partitioning=None).to_pylist()
    ]


def drained(settings, *befores, data):
    """Rounds of drainers, each crashing somewhere, each of another owner; then one that does not."""

    async def body():
        client = redis_client(settings.redis_url, BACKGROUND)
        moved = 0
        for turn, before in enumerate([*befores, None]):
            store = CrashingStore(client, f"drainer-{turn}", before)
            with redis.Redis.from_url(settings.redis_url) as direct:
                direct.delete(keys.DRAIN_LEASE)  # as if the lease of the one before had run out
            try:
                while n := await Drainer(store, data).round():
                    moved += n
            except Crash:
                continue
        await client.aclose()
        return moved

    return asyncio.run(body())


async def fill(caller):
    for n in range(30):
        await caller.send(event(f"e-{n}", f"c-{n % 7}"))
    await caller.send(event("o-1", type="purchase", item_id=None, items=["sku-1", "sku-2"]))
    await caller.send(event("s-1", None, type="share"))
    await caller.slate("c-1", limit=2)
    await caller.slate("nobody", exclude_ids=[], candidates=[])


def test_what_is_accepted_reaches_the_files_in_the_form_training_reads(with_service, settings, redis_client, tmp_path):
    with_service(fill)
    assert drained(settings, data=tmp_path) == 34
    lines, decisions = rows(tmp_path, "events"), rows(tmp_path, "decisions")
    (path,) = tmp_path.glob("events/*/*.parquet")
    assert pq.read_schema(path).equals(EVENTS)
    assert [field.name for field in EVENTS] == [column.name for column in COLUMNS]
    assert sorted(line["event_id"] for line in lines) == sorted([*(f"e-{n}" for n in range(30)), "o-1", "o-1", "s-1"])
    assert {path.parent.name for path in tmp_path.glob("events/*/*")} == {
        str(line["occurred_at"].date()) for line in lines
    }
    assert sorted(len(decision["slots"]) for decision in decisions) == [0, 2]
    assert all(redis_client.xlen(keys.events(partition)) == 0 for partition in keys.PARTITIONS)


@pytest.mark.parametrize(
    "before", ["claimed", "after claimed", "written", "after written", "let_go", "done", "after done"]
)
def test_a_crash_at_any_step_neither_loses_nor_doubles(with_service, settings, tmp_path, before):
    async def body(caller):
        await fill(caller)

    with_service(body)
    drained(settings, before, before, data=tmp_path)
    lines = rows(tmp_path, "events")
    assert sorted((line["event_id"], line["line_no"]) for line in lines) == sorted(
        [*((f"e-{n}", 0) for n in range(30)), ("o-1", 0), ("o-1", 1), ("s-1", 0)]
    )
    assert len(rows(tmp_path, "decisions")) == 2


def test_events_that_arrive_between_claim_and_crash_are_not_caught_in_it(with_service, settings, tmp_path):
    async def first(caller):
        await caller.send(event("e-1"))

    async def more(caller):
        await caller.send(event("e-2"))

    with_service(first)

    async def claimed():
        client = redis_client(settings.redis_url, BACKGROUND)
        with pytest.raises(Crash):
            await Drainer(CrashingStore(client, "first", "written"), tmp_path).round()
        await client.aclose()

    asyncio.run(claimed())
    with_service(more)
    drained(settings, data=tmp_path)
    assert [line["event_id"] for line in rows(tmp_path, "events")] == ["e-1", "e-2"]


def test_only_the_holder_of_the_lease_drains_and_an_overtaken_one_is_refused(settings):
    async def body():
        client = redis_client(settings.redis_url, BACKGROUND)
        first, second = DrainStore(client, "first"), DrainStore(client, "second")
        old, none, again = await first.lease(), await second.lease(), await first.lease()
        await second.release()
        await first.release()
        new = await second.lease()
        accepted = await second.set_claim(new, None), await first.set_claim(old, None)
        await client.aclose()
        return old, none, again, new, accepted

    old, none, again, new, accepted = asyncio.run(body())
    assert (none, again) == (0, old)
    assert new > old
    assert accepted == (True, False)


class Overtaken(DrainStore):
    """A slow drainer: before one of its calls its lease runs out and another one does whole rounds."""

    def __init__(self, client, owner, data, at):
        super().__init__(client, owner)
        self._data, self._at = data, at

    async def _overtake(self, at):
        if at == self._at:
            self._at = None
            await self._client.delete(keys.DRAIN_LEASE)
            other = Drainer(DrainStore(self._client, "other"), self._data)
            while await other.round():
                pass

    async def read(self, ranges):
        await self._overtake("read")
        entries = await super().read(ranges)
        await self._overtake("write")
        return entries

    async def pending(self, upto=None):
        ranges = await super().pending(upto)
        await self._overtake("claim")
        return ranges

    async def let_go(self, ranges):
        await self._overtake("let_go")
        await super().let_go(ranges)


@pytest.mark.parametrize("at", ["claim", "read", "write", "let_go"])
def test_a_drainer_that_is_overtaken_at_any_step_doubles_nothing(with_service, settings, tmp_path, at):
    with_service(fill)

    async def body():
        client = redis_client(settings.redis_url, BACKGROUND)
        moved = await Drainer(Overtaken(client, "slow", tmp_path, at), tmp_path).round()
        await client.aclose()
        return moved

    assert asyncio.run(body()) in {None, 0, 34}
    assert len(rows(tmp_path, "events")) == 33
    assert len(rows(tmp_path, "decisions")) == 2


def test_an_entry_nobody_can_read_is_kept_aside(settings, redis_client, tmp_path):
    redis_client.xadd(keys.events(3), {"k": "e", "b": b"\xc1 no lines"})
    redis_client.xadd(keys.events(3), {"k": "d", "b": msgspec.msgpack.encode([1])})
    assert drained(settings, data=tmp_path) == 2
    kept = [msgspec.json.decode(line) for line in (tmp_path / "rejects.ndjson").read_bytes().splitlines()]
    assert [bytes.fromhex(reject["value"])[:1] for reject in kept] == [b"\xc1", b"\x91"]


def test_items_that_were_put_are_in_the_catalogue_file(with_service, settings, tmp_path):
    async def body(caller):
        await caller.http.put("/v1/items", json={"item_id": "new-1", "kind": "content", "title": "Yeni"})
        await caller.http.put(
            "/v1/items", json={"item_id": "sku-1", "price": 3.5, "currency": "EUR", "available": False}
        )
        client = redis_client(settings.redis_url, BACKGROUND)
        keeper = CatalogKeeper(ItemStore(client, client), tmp_path)
        merged = await keeper.round(), await keeper.round()
        await client.aclose()
        return merged

    from features.catalog import Item

    merge_catalog(tmp_path, [Item(item_id="old-1", title="Old"), Item(item_id="sku-1", title="Older")])
    assert with_service(body) == (2, 0)
    table = pq.read_table(tmp_path / "catalog.parquet").to_pylist()
    assert [(row["item_id"], row["title"], row["available"]) for row in table] == [
        ("new-1", "Yeni", True),
        ("old-1", "Old", True),
        ("sku-1", None, False),
    ]
    assert table[2]["price_minor"] == 350


def test_equal_ranges_have_equal_names_and_others_others():
    ranges = (Range(1, "5-0", "7-0", 3), Range(4, "2-0", "9-1", 2))
    assert name_of(ranges) == name_of((Range(1, "5-0", "7-0", 3), Range(4, "2-0", "9-1", 2)))
    assert name_of(ranges) != name_of((Range(1, "5-0", "7-0", 3), Range(4, "2-0", "9-1", 1)))
    assert after("17-3") == "17-4"


def test_a_decision_has_the_columns_of_its_file():
    assert tuple(DECISION_COLUMNS) == Decision.__struct_fields__ == tuple(DECISIONS.names)


def test_training_reads_what_the_drainer_wrote(with_service, settings, tmp_path):
    log = pytest.importorskip("training.log")
    with_service(fill)
    drained(settings, data=tmp_path)
    opened = log.EventLog.open(tmp_path)
    assert opened.n_rows == 33
