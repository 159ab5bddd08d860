from __future__ import annotations

import asyncio
import os

import pytest

from service.embedded import EmbeddedStore
from service.tasks import end
from service.to_disk import keep_on_disk, sync_appended


@pytest.fixture
def synced(monkeypatch):
    """Lengths of what was synced, in order."""
    found = []
    monkeypatch.setattr(os, "fsync", lambda file: found.append(os.fstat(file).st_size))
    return found


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "appendonlydir").mkdir()
    return tmp_path


def append(directory, name, content):
    with (directory / "appendonlydir" / name).open("ab") as file:
        file.write(content)


def test_only_what_has_grown_is_synced(directory, synced):
    assert sync_appended(directory, {}) == {}
    append(directory, "a.1.incr.aof", b"123")
    append(directory, "a.1.base.rdb", b"1")
    lengths = sync_appended(directory, {})
    assert (list(lengths.values()), synced) == ([3], [3])
    assert sync_appended(directory, lengths) == lengths
    append(directory, "a.1.incr.aof", b"45")
    append(directory, "a.2.incr.aof", b"6")
    sync_appended(directory, lengths)
    assert sorted(synced) == [1, 3, 5]


def test_what_cannot_be_synced_is_tried_again(directory, synced, monkeypatch):
    append(directory, "a.1.incr.aof", b"123")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _file: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        lengths = sync_appended(directory, {})
    assert lengths == {}
    assert list(sync_appended(directory, lengths).values()) == synced == [3]


def test_it_goes_on_while_the_service_runs(directory, monkeypatch):
    lengths = []

    async def body():
        loop, was_synced = asyncio.get_running_loop(), asyncio.Event()

        def sync(file):
            lengths.append(os.fstat(file).st_size)
            loop.call_soon_threadsafe(was_synced.set)

        monkeypatch.setattr(os, "fsync", sync)
        keeping = asyncio.create_task(keep_on_disk(directory, every_s=0.01))
        for content in (b"1", b"2"):
            append(directory, "a.1.incr.aof", content)
            await asyncio.wait_for(was_synced.wait(), 10)
            was_synced.clear()
        await end(keeping)

    asyncio.run(body())
    assert list(dict.fromkeys(lengths)) == [1, 2]  # what was under way at the end is synced once more


def test_it_leaves_nothing_at_its_end(directory, synced):
    async def body():
        keeping = asyncio.create_task(keep_on_disk(directory, every_s=3600))
        await asyncio.sleep(0)  # it has begun
        append(directory, "a.1.incr.aof", b"1")
        await end(keeping)

    asyncio.run(body())
    assert synced == [1]


def test_the_server_itself_waits_for_no_disk(tmp_path):
    assert "appendfsync no\n" in EmbeddedStore(tmp_path).configuration()
