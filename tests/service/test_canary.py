"""Secrets sent through every endpoint come back in no log line, no number and no problem."""

from __future__ import annotations

import json
import secrets

import pytest

from service.app import app_of
from service.bootstrap import assemble
from service.ladder import Level, Reason
from service.metrics import render
from service.store.keys import customer_keys
from tests.reliability.served import worker
from tests.service.shop import OwnStore, event


@pytest.fixture
def store(home) -> OwnStore:
    """A store that this test takes away."""
    own = OwnStore(home)
    own.start()
    yield own
    own.stop()


def routes_of(program):
    """Every path with each of its methods."""
    found = [(method, route.path) for route in flat(app_of(program)) for method in sorted(route.methods or ())]
    return [(method, path) for method, path in found if method != "HEAD"]


def flat(app):
    """Routes, also those that an included router keeps to itself."""
    waiting = list(app.routes)
    for route in waiting:
        nested = getattr(getattr(route, "original_router", None), "routes", None) or getattr(route, "routes", None)
        if nested:
            waiting.extend(nested)
        elif hasattr(route, "methods"):
            yield route


def bodies(canary):
    """Well formed and not, of every kind that some route takes."""
    subject = {"customer_id": canary}
    yield event(canary, canary, session_id=canary, properties={canary: canary})
    yield [event(f"{canary}-2", canary, type=canary), {canary: canary}]
    yield {"subject": subject, "context": {"text": canary}, "anchor_items": [canary], "explain": "full"}
    yield {"subject": subject, canary: canary}
    yield {"subjects": [subject, {canary: canary}], "placement": "email"}
    yield {"item_id": canary, "title": canary, "price": canary}
    yield {"purposes": {"personalisation": canary}, "customer_id": canary, "anonymous_id": f"anon:{canary}"}
    yield {"customer_id": canary, "other_id": f"anon:{canary}", "event_id": canary}


def everything(http, routes, canary):
    """Problems that some requests were answered with; ids in paths, queries, headers and bodies."""
    problems, n_sent = [], 0
    for method, path in routes:
        filled = "/".join(canary if part.startswith("{") else part for part in path.split("/"))
        headers = {"x-request-id": canary, "x-deadline-ms": "50", "user-agent": canary, "cookie": f"session={canary}"}
        asked = [{"params": {canary: canary}}, {"params": {"cursor": canary, "anchor": canary}}, {}]
        if method in {"POST", "PUT", "PATCH"}:
            asked += [{"content": f'{{"{canary}'}, *({"json": body} for body in bodies(canary))]
        for one in asked:
            answer = http.request(method, filled, headers=headers, **one)
            n_sent += 1
            if answer.status_code >= 400:
                problems.append(answer.text)
    refused = http.get(f"/v1/customers/{canary}/recommendations", headers={"x-deadline-ms": canary})
    return [*problems, refused.text], n_sent


def without_pointers(problem):
    """A problem less its pointers: they name the member that is wrong, to the one who chose its name."""
    document = json.loads(problem)
    return json.dumps([document | {"pointer": "", "errors": [e | {"pointer": ""} for e in document.get("errors", ())]}])


def test_nothing_that_was_sent_is_told_again(home, settings, store):
    canary = f"canary{secrets.token_hex(8)}"
    program = assemble(settings)
    routes, key = routes_of(program), program.customers.keys_of(canary).member
    with worker(home, store.url, log_level="debug") as served, served.client() as http:
        there, n_there = everything(http, routes, canary)
        store.kill()
        away, n_away = everything(http, routes, canary)
        numbers = http.get("/metrics").text
    problems, n_sent, lines = there + away, n_there + n_away, served.log()
    assert n_sent > 60
    assert len(problems) > 20
    told = [line for line in lines.splitlines() if line.startswith("{")]
    assert told
    assert all(json.loads(line)["event"] for line in told)
    for secret in (canary, key):
        assert secret not in lines
        assert secret not in numbers
        assert not [problem for problem in problems if secret in without_pointers(problem)]


def test_the_key_that_is_looked_for_is_the_one_in_the_store(settings):
    program = assemble(settings)
    where = program.customers.keys_of("c-1")
    assert where == customer_keys("c-1", (settings.home / "pepper").read_bytes())


def test_labels_come_from_closed_sets(with_service):
    async def body(caller):
        await caller.send(event("e-1"))
        await caller.slate("c-1")
        await caller.http.get("/v1/customers/c-1/recommendations", headers={"x-deadline-ms": "10"})

    with_service(body)
    labels = {}
    for line in render().decode().splitlines():
        name, _, rest = line.partition("{")
        if name.startswith("rihla_") and rest:
            for pair in rest.partition("}")[0].split(","):
                label, _, value = pair.partition("=")
                labels.setdefault(label, set()).add(value.strip('"'))
    assert labels["level"] <= {str(int(level)) for level in Level}
    assert labels.get("reason", set()) <= set(Reason)
    assert labels["class"] <= {"live", "events", "bulk"}
    assert labels["step"] <= {"read", "decide", "record"}
    assert labels["stage"] <= {"awareness", "engagement", "transaction", "retention"}
    assert labels["strategy"] <= {"personal", "related", "popular", "static", "empty", "withheld"}
