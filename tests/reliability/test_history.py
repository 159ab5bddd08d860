from __future__ import annotations

from tests.reliability.history import Op, judge


def op(event_id, outcome):
    return Op(event_id, outcome, 0.0, 1.0)


def test_what_was_accepted_and_is_not_there_is_lost():
    assert judge([op("a", "ok"), op("b", "ok")], ["a"]).lost == {"b"}


def test_what_is_unknown_is_neither_lost_nor_unasked():
    assert judge([op("a", "unknown"), op("b", "unknown"), op("c", "fail")], ["a"]).is_clean


def test_what_is_there_twice_or_was_never_asked_for_is_told():
    verdict = judge([op("a", "ok")], ["a", "a", "z"])
    assert (verdict.doubled, verdict.unasked, verdict.is_clean) == ({"a"}, {"z"}, False)
