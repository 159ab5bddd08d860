from __future__ import annotations

import asyncio
import os
import time

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service import log_files, merge_files
from service.cleaner import cleaner_of, drop_decisions
from service.day_files import EVENTS, write_parquet
from service.erased_files import ErasedFiles
from service.log_files import all_paths, current_paths
from service.merge_files import READ_S, merge_small_files
from service.rejects import forget_rejects, keep_unreadable
from service.store import keys
from service.store.clients import BACKGROUND, redis_client
from service.store.erasures import Erasure
from tests.service.shop import SECOND, event
from tests.service.test_drainer import rows
from tests.service.test_erasure import ago, drain

NOW_S = 1_786_440_600
DAY = "2026-08-11"


def clean(settings, data):
    async def body():
        client = redis_client(settings.redis_url, BACKGROUND)
        try:
            return await cleaner_of(settings, client, data).round(rest=0)
        finally:
            await client.aclose()

    return body()


def test_after_the_clean_up_no_file_and_no_stream_knows_the_customer(with_service, settings, store, tmp_path):
    name = "erased-one-4711"

    async def body(caller):
        await caller.send(event("e-1", name), event("e-2", "c-2"))
        await caller.slate(name)
        await drain(settings, tmp_path)
        receipt = (await caller.http.delete(f"/v1/customers/{name}")).json()
        await caller.send(event("e-3", "c-2", occurred_at=ago(-SECOND)))
        await drain(settings, tmp_path)
        assert any(name.encode() in path.read_bytes() for path in tmp_path.rglob("*.parquet"))
        done = await clean(settings, tmp_path)
        return done, (await caller.http.get(f"/v1/erasures/{receipt['receipt_id']}")).json()

    done, receipt = with_service(body)
    assert done.rows == 2
    assert sorted(line["event_id"] for line in rows(tmp_path, "events")) == ["e-2", "e-3"]
    parts = {part: found["status"] for part, found in receipt["progress"].items()}
    assert parts == {
        "online": "done",
        "log": "done",
        "log_files": "done",
        "append_only_file": "done",
        "model_rows": "pending",
    }
    everywhere = [path for root in (tmp_path, store.embedded.directory) for path in root.rglob("*") if path.is_file()]
    assert [path for path in everywhere if name.encode() in path.read_bytes()] == []


def test_a_store_that_forbids_rewriting_its_file_is_reported_as_it_is(with_service, settings, redis_client, tmp_path):
    async def body(caller):
        receipt = (await caller.http.delete("/v1/customers/c-1")).json()
        await drain(settings, tmp_path)
        redis_client.execute_command("ACL", "SETUSER", "default", "-bgrewriteaof")
        try:
            await clean(settings, tmp_path)
        finally:
            redis_client.execute_command("ACL", "SETUSER", "default", "+bgrewriteaof")
        return (await caller.http.get(f"/v1/erasures/{receipt['receipt_id']}")).json()

    part = with_service(body)["progress"]["append_only_file"]
    assert (part["status"], part["reason"]) == ("impossible", "forbidden")


def test_a_round_that_died_in_the_middle_is_finished_by_the_next(with_service, settings, tmp_path, monkeypatch):
    async def body(caller):
        await caller.send(event("e-1"), event("e-2", occurred_at=ago(20 * 3600 * SECOND)), event("e-3", "c-2"))
        await drain(settings, tmp_path)
        await caller.http.delete("/v1/customers/c-1")
        await drain(settings, tmp_path)
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
            with pytest.raises(OSError, match="full"):
                await clean(settings, tmp_path)
        assert await clean(settings, tmp_path) is not None

    with_service(body)
    assert [line["event_id"] for line in rows(tmp_path, "events")] == ["e-3"]


def test_two_do_not_clean_at_once(with_service, settings, tmp_path):
    async def body(_):
        return await asyncio.gather(clean(settings, tmp_path), clean(settings, tmp_path))

    assert sorted(done is None for done in with_service(body)) == [False, True]


def drained_name(n):
    return f"{NOW_S * 1000 + n}-0_{NOW_S * 1000 + n}-1_{n:016x}"


def fill(data, n, first=0):
    at = NOW_S * SECOND
    for number in range(first, first + n):
        row = {column.name: None for column in EVENTS} | {
            "event_id": f"e-{number}", "line_no": 0, "customer_id": f"c-{number % 3}", "type": "page_view",
            "occurred_at": at, "received_at": at, "day": at // (86_400 * SECOND), "channel": "web", "consent": 0,
            "trust": 1, "late": False, "source": "api", "schema_version": 1, "properties": "{}",
        }  # fmt: skip
        write_parquet(data / "events" / DAY / f"{drained_name(number)}.parquet", pa.Table.from_pylist([row], EVENTS))


def counted(data):
    paths = current_paths(all_paths(data, "events"))
    return sorted(each for path in paths for each in pq.read_table(path, partitioning=None)["event_id"].to_pylist())


def test_small_files_become_one_and_every_row_counts_once_at_each_step(tmp_path):
    fill(tmp_path, 40)
    expected = counted(tmp_path)
    assert merge_small_files(tmp_path, "events", NOW_S + 900) == 40
    assert len(all_paths(tmp_path, "events")) == 41
    assert counted(tmp_path) == expected
    fill(tmp_path, 2, first=40)
    fill(tmp_path, 1)  # a drainer that stood still puts one back
    assert counted(tmp_path) == sorted([*expected, "e-40", "e-41"])
    merge_small_files(tmp_path, "events", time.time() + READ_S + 60)
    assert len(all_paths(tmp_path, "events")) == 3
    assert counted(tmp_path) == sorted([*expected, "e-40", "e-41"])
    assert pq.read_schema(all_paths(tmp_path, "events")[-1]).equals(EVENTS)


def test_merged_files_are_merged_in_their_turn(tmp_path):
    few = 6
    for batch in range(few):
        fill(tmp_path, few, first=batch * few)
        merge_small_files(tmp_path, "events", NOW_S + 900 + batch, many=few)
    assert merge_small_files(tmp_path, "events", NOW_S + 2000, many=few) == few
    assert len(current_paths(all_paths(tmp_path, "events"))) == 1
    assert len(counted(tmp_path)) == few * few


def test_files_that_a_drainer_may_still_write_again_are_left_alone(tmp_path):
    fill(tmp_path, 40)
    assert merge_small_files(tmp_path, "events", NOW_S + 60) == 0


def test_training_counts_merged_rows_once(tmp_path):
    log = pytest.importorskip("training.log")
    fill(tmp_path, 40)
    merge_small_files(tmp_path, "events", NOW_S + 900)
    assert log.EventLog.open(tmp_path).n_rows == 40
    assert log.REPLACES == log_files.REPLACES
    assert log.MERGED == merge_files.MERGED


def test_decisions_that_are_too_old_go(tmp_path):
    for day in ("2026-01-01", "2026-08-10"):
        (tmp_path / "decisions" / day).mkdir(parents=True)
    assert drop_decisions(tmp_path, NOW_S * SECOND, 180) == 1
    assert [path.name for path in (tmp_path / "decisions").iterdir()] == ["2026-08-10"]


def test_rejects_that_name_an_erased_customer_go(tmp_path):
    erased = ErasedFiles(tmp_path)
    keep_unreadable(tmp_path, "5-0", msgspec.msgpack.encode(["x", {"customer": "ann"}]), "odd")
    keep_unreadable(tmp_path, "5-1", msgspec.msgpack.encode(["x", {"customer": "ben"}]), "odd")
    keep_unreadable(tmp_path, "5-2", b"\xc1ann", "odd")
    keep_unreadable(tmp_path, "999999999-2", b"\xc1", "odd")
    with (tmp_path / "rejects.ndjson").open("ab") as file:
        file.write(b'{"row":3,"field":"customer_id","value":"ann","reason":"odd","file":"a.csv"}\n')
    erased.write("a", [Erasure("r", 0, "ann", "ab" * 16, 10_000)])
    assert forget_rejects(tmp_path, erased) == 3
    assert (tmp_path / "rejects.ndjson").read_bytes().count(b"\n") == 2


def test_many_small_files_of_erasures_become_one(tmp_path):
    erased = ErasedFiles(tmp_path)
    for n in range(300):
        erased.write(f"{n:04d}", [Erasure("r", 0, f"c-{n}", f"{n:032x}", n + 1)])
    again = ErasedFiles(tmp_path)
    again.refresh()
    assert len(list(again.paths())) < 100
    assert [again.erased_at(f"c-{n}") for n in range(300)] == [n + 1 for n in range(300)]
    assert len(again.members()) == 300


def test_stage_changes_of_an_erased_customer_are_removed(with_service, settings, redis_client, tmp_path):
    async def body(caller):
        await caller.send(event("e-1"), event("e-2", "c-2"))
        await caller.http.delete("/v1/customers/c-1")
        await drain(settings, tmp_path)
        await clean(settings, tmp_path)

    with_service(body)
    kept = [entry for partition in keys.PARTITIONS for entry in redis_client.xrange(keys.changes(partition))]
    assert [msgspec.json.decode(fields[b"b"])["customer_id"] for _, fields in kept] == ["c-2"]


def test_another_customers_line_stays_and_names_the_erased_one_no_more(with_service, settings, tmp_path):
    async def body(caller):
        login = event("e-1", "c-2", anonymous_id="anon:7")
        link = {
            **event("l-1", "c-2"),
            "type": "link",
            "item_id": None,
            "properties": {"from": "anon:8", "why": "login"},
        }
        unlink = {**link, "event_id": "u-1", "type": "unlink"}
        await caller.send(login, link, unlink)
        await drain(settings, tmp_path)
        for erased in ("anon:7", "anon:8"):
            await caller.http.delete(f"/v1/customers/{erased}")
        await drain(settings, tmp_path)
        return await clean(settings, tmp_path)

    assert with_service(body).rows == 3
    found = {line["event_id"]: line["properties"] for line in rows(tmp_path, "events")}
    assert found == {"e-1": "{}", "l-1": '{"why":"login"}', "u-1": '{"why":"login"}'}
