from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.blend import Blend
from recommender.slate import SlateRequest
from training.judging import BASELINES, N_RANKED, SYSTEM, TWIN, hits_of, lists_of
from training.load import Data
from training.split import cases_of, windows_of
from training.targets import Targets, facts_of, targets_of


@pytest.fixture(scope="module")
def engine(published):
    return published.fitted.engine


@pytest.fixture(scope="module")
def asked(shop, journey):
    data = Data(shop)
    windows = windows_of(data)
    cases = cases_of(data, windows.test, windows.until, journey.schema, n=40, seed=0)
    return cases, targets_of(cases, facts_of(data, windows.test))


@pytest.fixture(scope="module", params=[False, True], ids=["any", "new"])
def found(request, engine, asked):
    cases, targets = asked
    counts = ~targets.is_touched if request.param else np.ones(len(targets.case), np.bool_)
    return lists_of(engine, cases, targets, counts, is_new=request.param), request.param, counts


def decided(engine, cases, i, *, is_new):
    request = SlateRequest(limit=N_RANKED, unseen_only=is_new, apply_rules=False)
    return [item.item_idx for item in engine.decide(cases.states.state(i), request, int(cases.as_of[i])).items]


def shown(row):
    return [item for item in row.tolist() if item >= 0]


def test_lists_are_what_the_engine_decides(engine, asked, found):
    lists, is_new, counts = found
    for i in np.unique(asked[1].case[counts]).tolist():
        assert shown(lists.ranked[SYSTEM][i]) == decided(engine, asked[0], i, is_new=is_new)
        assert shown(lists.ranked[TWIN][i]) == decided(engine.without_stage(), asked[0], i, is_new=is_new)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_read_from_the_pool_is_its_source_alone(name, engine, asked, found):
    lists, is_new, counts = found
    alone = engine.with_blend(Blend.only(BASELINES[name], engine.sources))
    for i in np.unique(asked[1].case[counts]).tolist():
        assert shown(lists.ranked[name][i]) == decided(alone, asked[0], i, is_new=is_new)


def test_cases_without_a_target_that_counts_are_not_asked_about(asked, found):
    lists, _, counts = found
    rest = np.setdiff1d(np.arange(len(asked[0])), asked[1].case[counts])
    assert all((ranked[rest] == -1).all() for ranked in lists.ranked.values())
    assert (lists.pool_size[rest] == 0).all()


def test_no_list_holds_a_target_that_the_pool_does_not(engine, asked, found):
    lists, _, counts = found
    rows = engine.items.rows_of(asked[1].item_key)
    for ranked in lists.ranked.values():
        missed = hits_of(ranked, asked[1], rows, counts & ~lists.in_pool)
        assert not missed.any()
    assert hits_of(lists.ranked[SYSTEM], asked[1], rows, counts).any()


def targets_at(case):
    n = len(case)
    return Targets(
        np.array(case, np.int64), np.arange(n), np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.uint8)
    )


def test_hits_are_targets_that_count_at_their_ranks():
    ranked = np.array([[4, 2, -1], [2, 4, 1]], np.int32)
    rows, counts = np.array([2, -1, 4, 1, 2], np.int32), np.array([True, True, True, False, True])
    hits = hits_of(ranked, targets_at([0, 0, 1, 1, 1]), rows, counts)
    assert hits.tolist() == [[False, True, False], [True, True, False]]


@given(st.lists(st.lists(st.integers(-1, 6), min_size=4, max_size=4), min_size=1, max_size=5), st.data())
def test_hits_are_what_looking_one_by_one_gives(lists, data):
    ranked = np.array(lists, np.int32)
    case = sorted(data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=12)))
    rows = np.array(data.draw(st.lists(st.integers(-1, 6), min_size=len(case), max_size=len(case))), np.int32)
    counts = np.array(data.draw(st.lists(st.booleans(), min_size=len(case), max_size=len(case))), np.bool_)
    wanted = {(c, r) for c, r, counted in zip(case, rows.tolist(), counts.tolist(), strict=True) if counted and r >= 0}
    hits = hits_of(ranked, targets_at(case), rows, counts)
    assert hits.tolist() == [[(c, item) in wanted for item in row] for c, row in enumerate(lists)]
