"""What the ranker adds, on a small simulated shop."""

from __future__ import annotations

import pytest

from benchmarks.rankers import MIN_CASES, added, lessons_of, table_of
from training.fit import Recipe
from training.simulator import simulate


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    path = tmp_path_factory.mktemp("shop")
    simulate(path, events=4_000, seed=0)
    lessons, last = lessons_of(path, None, Recipe())
    known = last.with_past()
    return known, added(lessons, known, 0)


def test_blend_and_ranker_are_asked_the_same_cases_of_customers_with_a_past(judged):
    last, found = judged
    for task, pools in last.pools.items():
        assert len(found.blend[task]) == len(found.ranker[task]) == len(pools) > MIN_CASES
        assert all(query.has_past for query in pools.queries)
        assert (found.blend[task] != found.ranker[task]).any()
        assert 0 < found.ranker[task].mean() <= 1


def test_a_row_a_task_and_session_with_cases_enough(judged):
    last, found = judged
    table = table_of("shop", last, [found])
    assert 2 <= table.row_count <= 4
    assert [column.header for column in table.columns][:3] == ["task", "a session", "cases"]


def test_too_short_a_log_is_said_to_be_so(tmp_path):
    simulate(tmp_path, events=100, seed=0)
    with pytest.raises(SystemExit, match="expected cases at 2 cut-offs or more"):
        lessons_of(tmp_path, None)
