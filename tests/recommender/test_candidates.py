"""What is known of a customer at a moment, the same for every candidate, against the same in plain Python."""

from __future__ import annotations

from math import log1p

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import DAY_US
from features.journey import Standing
from recommender.blend import Pool
from recommender.candidates import CUSTOMER, Facts, columns_of, telling
from recommender.contract import Query
from recommender.describe import NEVER
from recommender.items import Items
from tests.recommender.small import small_arrays

MINUTE_US = 60_000_000
NOW = 20_000 * DAY_US + 5 * 3_600_000_000
ARRAYS = small_arrays()
touches = st.lists(st.tuples(st.integers(1, 3_000), st.integers(0, 4)), max_size=12)
purchases = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4)), max_size=6)


def described(query: Query, standing: Standing) -> dict[str, float]:
    """Columns of ``CUSTOMER`` for the first candidate of two; the other one must say the same."""
    sources = ("popular", "als")
    pool = Pool(np.array([0, 1], np.int32), np.full((2, 2), 0.5, np.float32), np.ones(2, np.float32))
    blend = np.zeros(2, np.float32)
    columns = columns_of(pool, telling(sources), blend, query, standing, Items(ARRAYS), Facts.of(ARRAYS))
    rows = columns[-len(CUSTOMER) :]
    assert (rows[:, 0] == rows[:, 1]).all()
    return dict(zip(CUSTOMER, rows[:, 0].tolist(), strict=True))


@given(touches, purchases)
def test_the_moment_is_what_plain_python_says(touched, bought) -> None:
    touched, bought = sorted(touched, reverse=True), sorted(bought, reverse=True)
    at = [NOW - minutes * MINUTE_US for minutes, _ in touched]
    day = [NOW // DAY_US - days for days, _ in bought]
    query = Query(
        now=NOW,
        touch_idx=np.array([item for _, item in touched], np.int32),
        touch_at=np.array(at, np.int64),
        touch_counts=np.ones((len(touched), 6), np.int32),
        bought_idx=np.array([item for _, item in bought], np.int32),
        bought_day=np.array(day, np.int32),
        anchor_idx=np.array([1, 2], np.int32),
        is_unseen_only=True,
    )
    n_session, later = 0, NOW
    for moment in reversed(at):
        if later - moment > 30 * MINUTE_US:
            break
        n_session, later = n_session + 1, moment
    n_items = len({item for _, item in touched})
    wanted = {
        "is_live": float(n_session > 0),
        "touches": log1p(len(at)),
        "items": log1p(n_items),
        "touch_age": log1p((NOW - at[-1]) / MINUTE_US) if at else NEVER,
        "session_touches": log1p(n_session),
        "buy_days": log1p(len(set(day))),
        "buy_age": log1p((NOW / DAY_US - day[-1]) * 1_440) if day else NEVER,
        "repeat_share": 1 - n_items / len(at) if at else 0,
        "page_items": 2,
        "is_unseen_only": 1.0,
    }
    found = described(query, Standing("retention", None, at_risk=True, since=NOW - MINUTE_US, changes_at=None))
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)


def test_a_stage_is_one_of_four_with_its_risk_and_age() -> None:
    found = described(
        Query(now=NOW), Standing("engagement", None, at_risk=True, since=NOW - 2 * MINUTE_US, changes_at=None)
    )
    wanted = [0, 1, 0, 0, 1, pytest.approx(log1p(2))]
    assert [found[name] for name in CUSTOMER[:6]] == wanted
