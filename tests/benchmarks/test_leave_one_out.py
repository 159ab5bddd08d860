"""What a source is worth, on a small simulated shop and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.leave_one_out import NOTHING, Cost, change, costs_of, markdown
from training.metrics import Interval
from training.simulator import simulate


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("shop")
    simulate(path, events=2_000, seed=0)
    return costs_of(path, None)


def test_every_source_is_left_out_once_and_what_is_silent_costs_nothing(found):
    assert set(found) == {"any", "new"}
    assert set(found["any"]) == set(found["new"]) > {NOTHING, "popular", "recent"}
    for source in ("recent", "frequent"):  # they propose nothing that was never touched
        assert found["new"][source][0] == Cost("all", Interval(0.0, 0.0, 0.0))
    assert found["any"]["recent"][0].change.mean != 0


def test_a_row_a_source_and_the_worst_of_it():
    columns = {
        "a, any": {"als": [Cost("all", Interval(-1, -2, -0.5)), Cost("retention", Interval(-3, -9, 1))]},
        "b, any": {"als": [Cost("all", Interval(0.25, -1, 1))], "ease": [Cost("all", Interval(2, 1, 3))]},
    }
    assert list(markdown(columns))[2:] == [
        "| als | **−1.0** | +0.2 | a, any, retention: −3.0 [−9.0, +1.0] | 1 of 3 | yes |",
        "| ease | – | **+2.0** | b, any, all: +2.0 [+1.0, +3.0] | 0 of 1 | no |",
    ]


def test_a_change_is_relative_to_the_mean():
    whole, without = np.array([0.5, 0.5]), np.array([0.5, 0.25])
    assert change(whole, without).mean == -25
    assert change(np.zeros(2), np.zeros(2)) == Interval(0.0, 0.0, 0.0)
