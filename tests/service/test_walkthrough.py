from __future__ import annotations

import itertools
import urllib.error

import pytest
from rich.console import Console

from features.errors import StoreUnavailable
from service.walkthrough import ANSWERS_EACH, Client, walk


class Workers(Client):
    """A service whose requests meet its workers in turn; each has the model after so many requests to all."""

    def __init__(self, *ready_after):
        super().__init__("http://nowhere")
        self._ready_after, self.asked = ready_after, 0

    def call(self, method, path, body=None):
        self.asked += 1
        if self.asked == 1:
            raise urllib.error.URLError("not up yet")
        ready_after = self._ready_after[self.asked % len(self._ready_after)]
        return {"digest": "new" if self.asked > ready_after else "none"}


def test_a_model_is_waited_for_until_every_worker_has_it(monkeypatch):
    monkeypatch.setattr("service.walkthrough.time.sleep", lambda _seconds: None)
    client = Workers(2, 31)
    assert client.wait_for_model("new", 2)
    assert client.asked >= 31 + ANSWERS_EACH * 2


def test_a_worker_that_never_has_the_model_is_noticed(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr("service.walkthrough.time.sleep", lambda _seconds: None)
    monkeypatch.setattr("service.walkthrough.time.monotonic", lambda: next(ticks))
    assert not Workers(2, 10**9).wait_for_model("new", 2, timeout_s=500)


def test_a_first_page_without_a_product_ends_the_walk():
    class Empty(Client):
        def call(self, method, path, body=None):
            standing = {"name": "awareness", "phase": None}
            return {"items": [], "stage": standing, "served_by": {"strategy": "empty", "version": "0"}}

    with pytest.raises(StoreUnavailable, match="no product"):
        walk(Empty("http://nowhere"), Console(quiet=True))
