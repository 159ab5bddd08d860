"""Two checkouts by turns."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import shop, turns

HERE = Path(turns.__file__).parent.parent


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(shop, "N_ITEMS", 500)


def test_this_checkout_against_itself(tmp_path):
    found = turns.by_turns(tmp_path, HERE, events=3_000, rounds=2)
    assert len(found) == len(turns.KINDS)
    assert all("times as much" in line for line in found)


def test_a_checkout_that_cannot_answer_is_named(tmp_path):
    other = tmp_path / "nowhere"
    other.mkdir()
    with pytest.raises(RuntimeError, match="nowhere: expected a checkout"):
        turns.by_turns(tmp_path / "home", other, events=3_000, rounds=1)


def test_ratios_are_taken_by_rounds():
    assert turns.compared([100, 200, 300], [50, 100, 600]) == (
        "200 µs there, 100 µs here, 0.50 times as much (quartiles 0.50 to 1.25)"
    )
