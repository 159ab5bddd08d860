from __future__ import annotations

import json

import pytest

from features.errors import StoreUnavailable
from service.ladder import Reason
from service.logs import configure_logs
from service.trouble import EVERY_S, Trouble


@pytest.fixture
def told(capsys):
    """What was logged since it was asked last, and the clock."""
    configure_logs("info", "sweeper")
    now = [0.0]

    def since():
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return since, now


def away(reason=Reason.STORE_UNAVAILABLE):
    return StoreUnavailable("the store does not answer", reason=reason)


def test_trouble_is_told_once_a_minute_and_when_it_is_over(told):
    since, now = told
    trouble = Trouble("sweep", lambda: now[0])
    trouble.succeeded()  # nothing was wrong
    for now[0] in (0.0, 1.0, EVERY_S - 1, EVERY_S, EVERY_S + 1):
        trouble.failed(away())
    assert [(line["event"], line["reason"]) for line in since()] == [("sweep_failed", "store_unavailable")] * 2
    trouble.succeeded()
    trouble.succeeded()
    assert [(line["event"], line["level"]) for line in since()] == [("sweep_works_again", "info")]


def test_another_cause_is_told_at_once(told):
    since, now = told
    trouble = Trouble("drain", lambda: now[0])
    trouble.failed(away())
    trouble.failed(away(Reason.STORE_DENIED))
    trouble.failed(OSError(28, "No space left on device"))
    assert [line.get("reason", line.get("why")) for line in since()] == [
        "store_unavailable",
        "store_denied",
        "No space left on device",
    ]
