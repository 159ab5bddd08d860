from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.moments import EPOCH, MAX_US, moment, of_datetime, to_datetime, to_text
from features.values import Unreadable

NOON = 1_772_366_400_000_000
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001 - zones are drawn


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01t12:00:00z",
        "2026-03-01 12:00:00.000000Z",
        "2026-03-01T14:00:00+02:00",
        "2026-03-01T06:30:00-0530",
        1_772_366_400,
        1_772_366_400.0,
        1_772_366_400_000,
        1_772_366_400_000_000,
        1_772_366_400_000_000_000,
    ],
)
def test_one_moment_can_be_written_in_many_ways(value):
    assert moment(value) == NOON


@given(times)
def test_a_text_is_read_to_the_microsecond_in_any_zone(at):
    assert moment(at.isoformat()) == of_datetime(at)
    assert to_datetime(of_datetime(at)) == at
    assert moment(to_text(of_datetime(at))) == of_datetime(at)


@given(st.integers(100_000_000_000_000, 99_999_999_999_999_999))
def test_microseconds_of_any_recent_century_are_taken_as_they_are(at):
    assert moment(at) == at


def test_the_ends_of_time_are_included():
    assert moment(0) == 0
    assert moment("9999-12-31T23:59:59.999999Z") == MAX_US
    assert to_datetime(0) == EPOCH == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T12:00:00",
        "2026-03-01",
        "2026-13-01T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T12:00:60Z",
        "2026-W09-7T12:00:00Z",
        "٢٠٢٦-03-01T12:00:00Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "",
        "now",
        "1772366400",
        -1,
        10**30,
        float("nan"),
        float("inf"),
        -float("inf"),
        True,
        None,
        [],
        {},
        b"2026-03-01T12:00:00Z",
    ],
)
def test_what_is_no_moment_is_refused(value):
    with pytest.raises(Unreadable):
        moment(value)
