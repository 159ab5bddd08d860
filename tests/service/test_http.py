from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidId
from features.ids import check_id, to_path
from tests.service.shop import event, publish, until

ODD_IDS = [
    "müşteri",
    "زبون-١",
    "👩‍🚀",
    "\u202eevil\u202c",
    "e\u0301",
    "\u00e9",
    "x" * 128,
    "../../etc/passwd",
    "..",
    ".",
    "{p00}",
    "rihla:{p00}:c:*",
    "a b?c#d%2e",
    "~tilde",
    "'; DROP TABLE customers; --",
    "\ufeffbom",
]


@pytest.fixture(scope="module")
def worker(home, store):
    """One worker behind a real port."""
    publish(home)
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"RIHLA_HOME": str(home), "RIHLA_PORT": str(port), "RIHLA_REDIS_URL": store.url}
    with (home / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.worker"],
            env={**os.environ, **environment, "PYTHONPATH": str(Path.cwd())},
            stderr=log,
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
        until(lambda: answers(http))
        yield http
    process.terminate()
    assert process.wait(10) == 0


def answers(http):
    try:
        return http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def raw(http, head, body=b""):
    """One request byte for byte; its answer."""
    with socket.create_connection((http.base_url.host, http.base_url.port), timeout=10) as connection:
        connection.sendall(head + b"\r\nHost: x\r\nConnection: close\r\n\r\n" + body)
        received = b""
        while part := connection.recv(65_536):
            received += part
    return received


@pytest.mark.parametrize("customer_id", ODD_IDS)
def test_odd_ids_are_carried_byte_for_byte_in_bodies_and_paths(worker, customer_id):
    sent = worker.post("/v1/events", json=event(f"e-{secrets.token_hex(4)}", customer_id))
    assert sent.status_code == 202, sent.text
    path = quote(to_path(customer_id), safe="")
    known = worker.get(f"/v1/customers/{path}")
    assert (known.status_code, known.json()["customer_id"]) == (200, customer_id)
    slate = worker.get(f"/v1/customers/{path}/recommendations")
    assert slate.json()["served_by"]["strategy"] == "personal"


@pytest.mark.parametrize("segment", ["..", ".", "a/b", "a%2Fb", "%2e%2e", "..%2f..%2fetc"])
def test_ids_that_need_encoding_are_not_found_in_their_plain_form(worker, segment):
    answer = raw(worker, f"GET /v1/customers/{segment}/recommendations HTTP/1.1".encode())
    assert answer.split()[1] == b"404"
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("segment", ["%00", "a%0ab", "~", "~%FF", "~!!", quote("x" * 129), "%ED%A0%80", "%ff"])
def test_what_is_no_id_is_refused_in_a_path(worker, segment):
    answer = raw(worker, f"GET /v1/customers/{segment}/recommendations HTTP/1.1".encode())
    assert answer.split()[1] in {b"422", b"400", b"200"}
    assert (answer.split()[1] == b"200") == (segment in {"%ED%A0%80", "%ff"})  # the server has made U+FFFD of them


@given(st.text(st.characters(codec=None), min_size=1, max_size=40))
def test_any_text_at_all_is_an_id_or_a_422(worker, text):
    body = json.dumps({"subject": {"customer_id": text}, "limit": 1}).encode()
    answer = worker.post("/v1/recommendations", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == (200 if is_id(text) else 422), answer.text


def is_id(text):
    try:
        return bool(check_id(text))
    except InvalidId:
        return False


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/v1/recommendations", 64 << 10),
        ("POST", "/v1/recommendations:batch", 1 << 20),
        ("POST", "/v1/events", 1 << 20),
        ("PUT", "/v1/items", 1 << 20),
    ],
)
def test_a_body_over_the_limit_is_refused_however_it_comes(worker, method, path, limit):
    declared = worker.request(method, path, content=b" " * (limit + 1))
    chunked = worker.request(method, path, content=(b" " * 65_536 for _ in range(limit // 65_536 + 2)))
    within = worker.request(method, path, content=b" " * limit)
    for answer in (declared, chunked):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert answer.headers["content-type"] == "application/problem+json"
    assert within.status_code == 422


def test_a_body_that_lies_about_its_length_waits_for_nobody(worker):
    head = b"POST /v1/events HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 99999999999"
    assert raw(worker, head, b"{}").split()[1] == b"413"


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/events"), ("PUT", "/v1/items")])
def test_a_caller_who_leaves_before_the_body_has_come_is_no_fault_of_ours(worker, home, method, path):
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    with socket.create_connection((worker.base_url.host, worker.base_url.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"{")
    counted = f'rihla_requests_total{{route="{path}",status="499"}}'
    until(lambda: counted in worker.get("/metrics").text)
    assert "request_failed" not in (home / "worker.log").read_text()


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/plain"}, {"content-type": "application/json", "content-encoding": "gzip"}]
)
def test_other_kinds_of_bodies_are_refused(worker, headers):
    answer = worker.post("/v1/events", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_unknown_paths_and_methods_are_problems_too(worker):
    missing, method = worker.get("/v1/nothing"), worker.delete("/v1/events")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=nan", "limit=101", "kinds=sofa", "locale=%3F", "colour=1", "limit=1&limit=2"]
)
def test_a_query_that_cannot_be_asked_is_refused_with_its_pointer(worker, query):
    answer = worker.get(f"/v1/customers/c-1/recommendations?{query}")
    assert answer.status_code == 422
    assert answer.json()["pointer"].startswith(f"/query/{query.partition('=')[0]}")


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_pages_of_documentation_need_no_other_host(worker, page):
    html = worker.get(page).text
    own = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert own
    assert not [address for address in own if not address.startswith("/")]
    assert {worker.get(address).status_code for address in own} == {200}


def test_the_documentation_names_every_route_with_an_example(worker):
    document = worker.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/customers/{customer_id}/recommendations",
        "/v1/recommendations",
        "/v1/recommendations:batch",
        "/v1/items/{item_id}/related",
        "/v1/events",
        "/v1/customers/{customer_id}",
        "/v1/customers/{customer_id}/consent",
        "/v1/customers/{customer_id}/export",
        "/v1/erasures/{receipt_id}",
        "/v1/audiences/{stage}",
        "/v1/stage-changes",
        "/v1/identities:link",
        "/v1/identities:unlink",
        "/v1/items",
        "/v1/model",
        "/healthz",
        "/readyz",
    }
    references = [part.split('"')[0] for part in json.dumps(document).split('"$ref": "#/components/schemas/')[1:]]
    assert set(references) <= set(document["components"]["schemas"])
    for path in document["paths"].values():
        for operation in path.values():
            good = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
            assert all("example" in content for content in good["content"].values())
            assert operation.get("requestBody", {"required": True})["required"]


def test_numbers_have_closed_labels(worker):
    worker.get("/v1/nowhere/secret-id")
    worker.get("/v1/customers/secret-id/recommendations")
    text = worker.get("/metrics").text
    assert 'rihla_requests_total{route="/v1/customers/{customer_id}/recommendations",status="200"}' in text
    assert 'rihla_requests_total{route="other",status="404"}' in text
    assert "secret-id" not in text


def test_the_log_never_carries_an_id_or_a_body(worker, home):
    canary = f"canary-{secrets.token_hex(8)}"
    worker.post("/v1/events", json=[event(canary, canary), {"event_id": canary, "type": canary}])
    worker.post("/v1/recommendations", json={"subject": {"customer_id": canary}, canary: 1})
    refused = worker.post("/v1/events", json=event("e", canary, type=canary))
    worker.get(f"/v1/customers/{canary}")
    worker.get("/healthz")
    assert canary not in refused.text
    lines = (home / "worker.log").read_text().splitlines()
    assert lines
    assert all(set(json.loads(line)) >= {"event", "level", "process", "pid", "timestamp"} for line in lines)
    assert not [line for line in lines if canary in line]


def test_what_is_served_can_be_read(worker):
    model = worker.get("/v1/model").json()
    assert (model["model"], model["version"], model["alias"], model["n_items"]) == ("rihla", "1", "champion", 12)
    assert "popular" in model["sources"]
    assert model["reason"] is None


def test_a_fault_of_ours_is_a_problem_and_its_text_stays_out_of_the_log(settings, capsys):
    from service.app import app_of
    from service.bootstrap import assemble

    async def body():
        program = assemble(settings)
        app = app_of(program)

        @app.get("/boom")
        async def boom() -> None:
            raise RuntimeError("secret-id")

        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://rihla") as http:
            answer = await http.get("/boom")
        await program.clients.aclose()
        return answer

    answer = asyncio.run(body())
    logged = capsys.readouterr()
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "request_failed" in logged.out + logged.err
    assert "secret-id" not in logged.out + logged.err + answer.text
