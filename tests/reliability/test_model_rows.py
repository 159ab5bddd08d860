"""Rows 9, 10 and 11: the registry is away or talks nonsense, a bundle is damaged, a download stops half way.

Row 12 is ``tests/recommender/test_bundle_hostile.py``, row 14 the formats in ``tests/recommender/test_bundle.py``.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from features.errors import BundleError
from features.settings import load_settings
from recommender.engine import Engine
from service.current import BUNDLES, FollowerReport, read_current, read_report
from service.follower import Follower
from tests.reliability.conftest import level_of
from tests.reliability.served import whole
from tests.service.conftest import calling
from tests.service.shop import bundle, publish, until

pytestmark = pytest.mark.filterwarnings("ignore")  # what MLflow says about its own dependencies

HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>hi</html>"
ERROR = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
SHORT = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"model_ver'


@contextmanager
def registry_that_says(answer):
    """Address of a server that answers everything with the same bytes; None never answers."""
    stop, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    held = []

    def serve():
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            held.append(connection)
            if answer is not None:
                connection.settimeout(2)
                connection.recv(65_536)
                connection.sendall(answer)
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        thread.join()
        for each in (*held, listener):
            each.close()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


@pytest.mark.parametrize(
    ("fault", "answer"), [("frozen", None), ("500", ERROR), ("a web page", HTML), ("half an answer", SHORT)]
)
def test_row_9_a_registry_that_makes_no_sense_changes_nothing(home, redis_server, quick, record, size, fault, answer):
    async def ready():
        started = time.monotonic()
        async with calling(load_settings(home=home, redis_url=redis_server.url)) as caller:
            slate = await caller.slate("c-1")
            return time.monotonic() - started, slate["served_by"]["degraded"]

    before = read_current(home)
    with registry_that_says(answer) as uri:
        Follower(load_settings(home=home), tracking_uri=uri).look()
        ready_s, degraded = asyncio.run(ready())
    assert read_current(home) == before
    assert read_report(home) == FollowerReport(registry_answers=False)
    assert degraded == {"level": 0, "reason": "registry_unavailable"}
    assert ready_s <= 5 * size.slack
    record(9, f"registry: {fault}", "ready ≤ 5 s from disk; serving does not notice", f"{ready_s:.1f} s, level 0")


@pytest.mark.parametrize(("fault", "answer"), [("frozen", None), ("a web page", HTML)])
def test_row_9_a_whole_service_starts_beside_a_dead_registry(tmp_path, monkeypatch, record, size, fault, answer):
    publish(tmp_path)
    with registry_that_says(answer) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        started = time.monotonic()
        with whole(tmp_path, workers=1) as served, served.client() as http:
            level = level_of(http, "c-1")
            ready_s = time.monotonic() - started
            until(lambda: "store_unavailable" not in http.get("/readyz").json()["reasons"], 10)
            later = level_of(http, "c-1")
    assert {level, later} == {0}
    assert ready_s <= 5 * size.slack
    record(9, f"rihla serve starts, registry {fault}", "ready ≤ 5 s from disk", f"{ready_s:.1f} s, level {later}")


def test_row_10_no_flipped_bit_is_ever_served(home, redis_server, size, record):
    n, dice = (500 if size.is_full else 60), random.Random(10)
    current = publish(home)
    path = home / BUNDLES / current.digest
    files = sorted(path.iterdir())
    refused = 0

    async def body():
        nonlocal refused
        async with calling(load_settings(home=home, redis_url=redis_server.url)) as caller:
            expected = [item["item_id"] for item in (await caller.slate("nobody", dry_run=True))["items"]]
            for number in range(n):
                file = files[number % len(files)]
                flip(file, bit := dice.randrange(file.stat().st_size * 8))
                try:
                    Engine.open(path, schema_hash=caller.program.serving.journey.schema.hash)
                except BundleError:
                    refused += 1
                flip(file, bit)
                if number % 20 == 0:
                    assert [
                        item["item_id"] for item in (await caller.slate("nobody", dry_run=True))["items"]
                    ] == expected

    def flip(file, bit):
        raw = bytearray(file.read_bytes())
        raw[bit // 8] ^= 1 << bit % 8
        draft = file.with_name(f"{file.name}.draft")  # beside it and renamed: what is mapped stays as it was
        draft.write_bytes(raw)
        draft.replace(file)

    asyncio.run(body())
    assert refused == n
    record(10, "one bit flipped anywhere in a bundle", "all refused; 0 s of interruption", f"{refused} of {n} refused")


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    from training.registry import Registry

    made = Registry(tmp_path_factory.mktemp("registry"))
    for version in ("1", "2"):
        made.publish(bundle(tmp_path_factory.mktemp("made"), version=version), params={}, metrics={})
    return made


def test_row_11_a_download_that_stops_at_80_percent_is_never_seen(registry, tmp_path, monkeypatch, record):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    registry.promote(1)
    follower = Follower(load_settings(home=tmp_path))
    follower.look()
    before = read_current(tmp_path)
    copies = [path for path in registry_root(registry).rglob("popular.score.npy") if is_of(path, before)]
    whole = {path: path.read_bytes() for path in copies}
    registry.promote(2)
    for path, raw in whole.items():
        path.chmod(0o644)
        path.write_bytes(raw[: int(0.8 * len(raw))])
    follower.look()
    cut = read_current(tmp_path), read_report(tmp_path).refused, leftovers(tmp_path)
    for path, raw in whole.items():
        path.write_bytes(raw)
    again = Follower(load_settings(home=tmp_path))  # a start forgets the refusal, as its back-off does after 30 s
    again.look()
    assert cut == (before, "2", [])
    assert read_current(tmp_path).version == "2"
    assert leftovers(tmp_path) == []
    record(11, "download cut at 80 %", "never visible, 0 orphans", "refused, old one serves, 0 orphans, then fetched")


def registry_root(registry):
    from pathlib import Path

    return Path(registry.uri.removeprefix("sqlite:///")).parent


def is_of(path, current):
    """Whether a file belongs to another bundle than the one that is served."""
    return current.digest not in path.parts


def leftovers(home):
    return [path.name for path in (home / BUNDLES).iterdir() if path.name.startswith(".")]


def test_row_9_a_home_without_any_bundle_shows_the_last_popular_items(home, redis_server, tmp_path, record):
    from service.fallback import FILE, keep_fallback

    async def slate_of(settings):
        async with calling(settings) as caller:
            return await caller.slate("c-1", limit=3), (await caller.http.get("/readyz")).json()

    engine = Engine.open(home / BUNDLES / publish(home).digest)
    keep_fallback(tmp_path, engine, engine.model.until)
    kept, ready = asyncio.run(slate_of(load_settings(home=tmp_path, redis_url=redis_server.url)))
    shutil.copy(tmp_path / FILE, tmp_path / "own.json")
    (tmp_path / FILE).unlink()
    own = load_settings(home=tmp_path, redis_url=redis_server.url, fallback_slate=tmp_path / "own.json")
    shop, _ = asyncio.run(slate_of(own))
    bare, _ = asyncio.run(slate_of(load_settings(home=tmp_path, redis_url=redis_server.url)))
    for slate in (kept, shop, bare):
        assert slate["served_by"]["degraded"] == {"level": 4, "reason": "no_bundle"}
    assert [item["item_id"] for item in kept["items"]] == [item["item_id"] for item in shop["items"]]
    assert len(kept["items"]) == 3
    assert kept["served_by"]["strategy"] == "static"
    assert (bare["items"], bare["served_by"]["strategy"]) == ([], "empty")
    assert ready["reasons"] == ["no_bundle"]
    record(9, "no bundle at all", "level 4", "last popular items, else the shop's, else an empty slate that says so")
