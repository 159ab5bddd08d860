"""``make bench`` on a shop so small that every figure can be taken in seconds."""

from __future__ import annotations

import pytest

from benchmarks import __main__ as bench
from benchmarks import shop
from benchmarks.budgets import markdown

TINY = bench.Size(events=3_000, states=40, seconds=0.3, rounds=1, latency_s=1, picks=40, cases=20)
SLOW = {"fit"}
"""Left to ``make bench``: it trains."""


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(shop, "N_ITEMS", 500)


@pytest.mark.usefixtures("small")
def test_every_figure_is_taken_and_every_step_is_told(tmp_path):
    made = shop.made(tmp_path, TINY.events, TINY.states)
    rows, steps = bench.measured(made, frozenset(bench.NAMES) - SLOW, TINY)
    named = [row.name for row in rows]
    for figure in ("deciding one slate, full", "batch picks", "slate, keyed repeat", "p99 beside batches", "events in"):
        assert any(figure in name for name in named), figure
    assert {"read (one round trip, alone)", "retrieve: als", "compose: order", "encode"} <= {one.name for one in steps}
    assert markdown(rows, steps).count("\n") > len(rows) + len(steps)
