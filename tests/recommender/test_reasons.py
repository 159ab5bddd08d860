from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.reasons import N_SHORT, REASON_TEXTS, UNSPOKEN, Parts, Reason, Reasons

CODES = ("popular", "als", "content", "recent", "stage", "base")


def parts_of(*rows):
    return Parts(CODES, np.array(rows, np.float64))


def test_reasons_by_hand():
    parts = parts_of([0.5, 1.0, 0.0, -0.75, 0.25, -6.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert parts.scores() == [-5.0, 0.0]
    assert parts.sources() == ["als", "base"]
    assert [code for code, _, _ in parts.of(0)] == ["base", "als", "recent", "popular", "stage"]
    assert [(code, weight) for code, _, weight in parts.of(0).short] == [
        ("als", 1.0),
        ("popular", 0.5),
        ("stage", 0.25),
        ("rest", -6.75),
    ]
    assert tuple(parts.of(1)) == parts.of(1).short == ()


def test_few_reasons_are_all_told():
    parts = parts_of([0.5, 0.25, 0.0, 0.0, 0.125, -6.0])
    assert parts.of(0).short == tuple(parts.of(0))


def test_one_reason_is_the_whole_score():
    only = Reasons.only("popular", 0.25)
    assert tuple(only) == only.short == (Reason("popular", REASON_TEXTS["popular"], 0.25),)
    assert only == Reasons.only("popular", 0.25) != Reasons.only("als", 0.25)
    assert len(only) == 1
    assert only[0].code == "popular"


@given(st.lists(st.lists(st.floats(-9, 9), min_size=len(CODES), max_size=len(CODES)), max_size=5))
def test_short_and_whole_reasons_sum_to_the_score_and_begin_with_the_source(rows):
    parts = Parts(CODES, np.array(rows, np.float64).reshape(-1, len(CODES)))
    for row, (score, source) in enumerate(zip(parts.scores(), parts.sources(), strict=True)):
        reasons = parts.of(row)
        assert sum(reason.weight for reason in reasons) == pytest.approx(score, abs=1e-9)
        assert sum(reason.weight for reason in reasons.short) == pytest.approx(score, abs=1e-9)
        assert len(reasons.short) <= N_SHORT + 1
        assert all(abs(a.weight) >= abs(b.weight) for a, b in pairwise(reasons))
        if any(reason.weight > 0 and reason.code not in UNSPOKEN for reason in reasons):
            assert source in {reason.code for reason in reasons.short}
            assert source not in UNSPOKEN
