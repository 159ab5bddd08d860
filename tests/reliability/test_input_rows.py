"""Rows 18, 19, 27 and 28: numbers that are none, bodies without end, odd ids, tricks in paths and heads."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from dataclasses import replace
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from features.errors import InvalidId
from features.ids import check_id, customer_key, to_path
from features.journey import Journey
from features.settings import load_settings
from recommender.blend import Blend
from recommender.engine import Engine, Model, sources_of
from recommender.slate import SlateRequest
from service.metrics import render
from tests.reliability import load
from tests.reliability.conftest import unharmed
from tests.reliability.load import Job, Stream
from tests.reliability.served import worker
from tests.reliability.shop import know, slates
from tests.service.conftest import calling
from tests.service.shop import NOW, arrays, event

NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-0", "-0.0", "1e-320")
NAUGHTY = (
    *(
        "{}",
        "a\nb",
        "a\x00b",
        "\x7f",
        "\u200b",
        "\ufeff",
        "\u202eevil",
        "\ufdfa",
        "\U0001f9d1\U0001f3ff\u200d\U0001f680",
    ),
    *("<script>", "${7*7}", "'; DROP TABLE customers; --", "$(reboot)", "%2e%2e%2f", "../../etc/passwd", "..", "{{1}}"),
    *("x" * 128, "x" * 129, "rihla:{p00}:c:*", "*\r\n$4\r\nQUIT\r\n", "NULL", "undefined", "true", "0", "-1", "1e9"),
    *("\u00df", "SS", "\u0131", "I", "i\u0307", "e\u0301", "\u00e9", "\u212b", "\u00c5"),
)


@pytest.fixture(scope="module")
def served(home, redis_server):
    with worker(home, redis_server.url) as made, made.client() as http:
        know(http)
        yield made


def raw(served, *parts, timeout=10.0, host=b"Host: x\r\n"):
    """Some bytes as they are; what comes back until the other side ends."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=timeout) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except OSError:
            pass  # it was refused before all was sent
        received = b""
        try:
            while part := connection.recv(65_536):
                received += part
        except OSError:
            pass
        return received


def status_of(answer):
    return int(answer.split()[1]) if answer.startswith(b"HTTP/") else 0


FIELDS = (
    ("/v1/events", '{{"event_id": "n", "type": "purchase", "customer_id": "c-1", "occurred_at": {}}}'),
    ("/v1/events", '{{"event_id": "n", "type": "purchase", "customer_id": "c-1", "occurred_at": 1, "amount": {}}}'),
    ("/v1/events", '{{"event_id": "n", "type": "rating", "customer_id": "c-1", "occurred_at": 1, "quantity": {}}}'),
    ("/v1/events", '{{"event_id": "n", "type": "x", "customer_id": "c", "occurred_at": 1, "properties": {{"a": {}}}}}'),
    ("/v1/recommendations", '{{"subject": {{"customer_id": "c-1"}}, "limit": {}}}'),
    ("/v1/recommendations", '{{"subject": {{"customer_id": "c-1"}}, "filter": {{"unseen_only": {}}}}}'),
    ("/v1/recommendations:batch", '{{"subjects": [{{"customer_id": "c-1"}}], "limit": {}}}'),
    ("/v1/items", '{{"item_id": "sku-1", "price": {}, "currency": "EUR"}}'),
    ("/v1/items", '{{"item_id": "sku-1", "price_minor": {}}}'),
    ("/v1/items", '{{"item_id": "sku-1", "published_at": {}}}'),
)


def test_row_18_numbers_that_are_none_are_refused_with_their_place(served, record):
    n = wrong = 0
    with unharmed(served), served.client() as http:
        for path, body in FIELDS:
            for number in NUMBERS:
                for written in (number, f'"{number}"'):
                    method = "PUT" if path == "/v1/items" else "POST"
                    answer = http.request(method, path, content=body.format(written), headers=JSON)
                    wrong += answer.status_code >= 500
                    n += 1
                    lines = answer.text.splitlines() if path.endswith(":batch") else [answer.text]
                    for line in lines:
                        json.loads(line, parse_constant=pytest.fail)
                    if answer.status_code == 422 and number in NUMBERS[:5] and written == number:
                        assert "pointer" in answer.json()
    assert wrong == 0
    record(18, "NaN, ±Infinity, 1e400, −0 as numbers and texts", "0 responses 5xx, strict JSON", f"0 of {n}")


JSON = {"content-type": "application/json"}


def test_row_18_a_score_that_is_no_number_leaves_the_slate(record):
    """A bundle with such numbers is refused; what comes of finite ones may still overflow."""
    journey, poisoned = Journey.load(None), arrays()
    poisoned["popular.score"][[0, 1]] = np.nan, np.inf
    engine = Engine(poisoned, Blend.uniform(sources_of(poisoned)), journey, Model("rihla", "1", "", NOW))
    with np.errstate(invalid="ignore"):
        slate = engine.decide(journey.schema.empty(), SlateRequest(limit=100), NOW)
    assert slate.items
    assert all(np.isfinite(item.score) for item in slate.items)
    record(18, "a model's score is NaN or infinite", "0 NaN in answers", f"{len(slate.items)} items, all finite")


def test_row_18_scores_that_are_none_are_dropped_and_counted(home, redis_server, record):
    """Weights that overflow, in a worker that was given them: a bundle with such numbers is refused."""
    journey, sources = Journey.load(None), sources_of(arrays())
    blend = Blend.uniform(sources)
    weights = {task: np.full_like(rows, np.inf) for task, rows in blend.weights.items()}
    engine = Engine(arrays(), replace(blend, weights=weights), journey, Model("rihla", "1", "", NOW))

    async def body():
        async with calling(load_settings(home=home, redis_url=redis_server.url)) as caller:
            await caller.send(event("poison-1", "p-1", item_id="sku-7"))
            caller.program.serving.engine = engine
            before = n_dropped()
            with np.errstate(invalid="ignore", over="ignore"):
                asked = {"subject": {"customer_id": "p-1"}, "limit": 100, "explain": "full"}
                answer = await caller.http.post("/v1/recommendations", json=asked)
            return answer, n_dropped() - before

    answer, dropped = asyncio.run(body())
    slate = json.loads(answer.text, parse_constant=pytest.fail)
    assert answer.status_code == 200
    assert all(isinstance(item["score"], float) for item in slate["items"])
    assert dropped >= 1
    record(18, "a model's weights overflow", "items dropped and counted", f"{dropped:.0f} dropped and counted, 200")


def n_dropped():
    lines = render().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("rihla_items_dropped_total{"))


def chunked(total):
    head = (
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    yield head
    for _ in range(total // 65_536):
        yield b"10000\r\n" + b" " * 65_536 + b"\r\n"


def head_of(*lines):
    return b"\r\n".join([b"POST /v1/events HTTP/1.1", b"Host: x", b"Connection: close", *lines]) + b"\r\n\r\n"


def with_body(body, kind=b"application/json", *more):
    return head_of(b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *more) + body


def odd_bodies(size):
    gib = 1 << 30 if size.is_full else 64 << 20
    yield "a GiB in chunks", chunked(gib), {413}
    yield "a GiB declared", [head_of(b"Content-Type: application/json", b"Content-Length: %d" % gib), b"{}"], {413}
    yield "gzip", [with_body(b"\x1f\x8b" * 50, b"application/json", b"Content-Encoding: gzip")], {415}
    yield "depth 100,000", [with_body(b"[" * 100_000)], {422}
    yield "1,000,000 items", [with_body(b"[" + b"0," * 500_000 + b"0]")], {422}
    yield "duplicate keys", [with_body(b'{"event_id": "a", "event_id": "b"}')], {422}
    yield "byte order mark", [with_body(b"\xef\xbb\xbf{}")], {422}
    yield "invalid UTF-8", [with_body(b'{"event_id": "\xff"}')], {422}
    yield "text/plain", [with_body(b"{}", b"text/plain")], {415}
    yield "empty", [with_body(b"")], {422}


def test_row_19_bodies_without_sense_are_refused_at_once_and_hurt_nobody(served, size, record):
    job = Job(served.port, [Stream("live", size.rate / 2, size.load_s + 2, slates())])
    with unharmed(served):
        calm = load.run(job)["live"]
        running = load.start(job)
        found = {}
        for name, parts, expected in odd_bodies(size):
            started = time.monotonic()
            found[name] = status_of(raw(served, *parts))
            took_s = time.monotonic() - started
            assert found[name] in expected, name
            assert took_s <= 10, name
        busy = load.finish(running, job)["live"]
    assert calm.share() == busy.share() == 1.0
    limit_ms = max(2 * calm.quantile_ms(0.99), 50) * size.slack
    assert busy.quantile_ms(0.99) <= limit_ms or busy.is_void
    told = f"{len(found)} of {len(found)} refused; neighbours' p99 {calm.quantile_ms(0.99):.0f} → "
    told += f"{busy.quantile_ms(0.99):.0f} ms"
    record(19, "bodies oversized, nested, zipped, malformed", "refused, RSS ≤ +20 MiB, neighbours' p99 ≤ 2×", told)


def test_row_27_any_id_is_carried_byte_for_byte_or_refused(served, redis_server, size, record):
    n, dice = (20_000 if size.is_full else 400), random.Random(27)
    ids = [*NAUGHTY, *(odd_id(dice) for _ in range(n))]
    legal = [text for text in dict.fromkeys(ids) if is_id(text)]
    keys = {customer_key(text, b"p" * 32) for text in legal}
    wrong = 0
    with unharmed(served), served.client() as http:
        for text in ids:
            body = json.dumps({"subject": {"customer_id": text}, "limit": 1, "dry_run": True}).encode()
            answer = http.post("/v1/recommendations", content=body, headers=JSON)
            wrong += answer.status_code != (200 if is_id(text) else 422)
        for number, text in enumerate(legal[: len(NAUGHTY)]):
            sent = http.post("/v1/events", json=event(f"id-{number}", text))
            assert sent.status_code == 202, sent.text
            known = http.get(f"/v1/customers/{quote(to_path(text), safe='')}")
            assert known.json()["customer_id"] == text
    assert wrong == 0
    assert len(keys) == len(legal)
    assert all(line.startswith("{") for line in served.log().splitlines())
    record(27, "ids of all code points and naughty strings", "0 5xx; injective keys; 0 log lines", f"0 of {len(ids):,}")


def odd_id(dice):
    kinds = (lambda: chr(dice.randrange(0x20, 0x250)), lambda: chr(dice.randrange(0x110000)))
    return "".join(dice.choice(kinds)() for _ in range(dice.randrange(1, 30)))


def is_id(text):
    try:
        return bool(check_id(text))
    except (InvalidId, UnicodeEncodeError):
        return False


TRICKS = {
    "dots": b"GET /v1/customers/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "double encoding": b"GET /v1/customers/%252e%252e%252f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "plain dots": b"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "encoded NUL": b"GET /v1/customers/a%00b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "absolute": b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "spoofed": b"GET /v1/nothing HTTP/1.1\r\nHost: evil\r\nX-Forwarded-For: 127.0.0.1\r\nX-Original-URL: /metrics\r\n"
    b"Connection: close\r\n\r\n",
    "override": b"POST /v1/customers/c-1 HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n",
    "CL.TE": b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/json\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "two lengths": b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "folded": b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\nConnection: close\r\n\r\n",
    "no host": b"GET /v1/nothing HTTP/1.1\r\nConnection: close\r\n\r\n",
}
WATCH = """
import sys
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and "passwd" in str(arguments[0]):
        print("OPENED", arguments[0], file=sys.stderr, flush=True)
sys.addaudithook(watch)
"""


def test_row_28_tricks_in_paths_and_heads_open_nothing_and_reach_nothing(home, redis_server, record, monkeypatch):
    from tests.reliability import served as starter

    monkeypatch.setattr(starter, "WORKER", WATCH + starter.WORKER)
    with worker(home, redis_server.url) as watched, unharmed(watched):
        answers = {name: raw(watched, trick, timeout=5) for name, trick in TRICKS.items()}
        statuses = {name: status_of(answer) for name, answer in answers.items()}
        assert "OPENED" not in watched.log()
        assert httpx.get(f"{watched.url}/healthz").status_code == 200
    assert all(status in {0, 400, 404, 405, 421, 422} for name, status in statuses.items() if name not in LEGAL), (
        statuses
    )
    assert not [name for name, answer in answers.items() if b"rihla_requests" in answer or b"root:" in answer]
    record(
        28, "traversal, spoofed heads, smuggling", "0 files opened, 0 bypasses", f"{len(TRICKS)} of {len(TRICKS)} held"
    )


LEGAL = {"folded", "CL.TE", "double encoding"}
"""A server may read these: a folded line is joined, the first of two requests is answered, %25 is a percent sign."""
