"""The running session, its neighbours and their votes, worked by hand. Items are rows 0, 1, 2 …"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BundleCorrupt
from features.events import DAY_US
from recommender.contract import Query
from recommender.items import Items
from recommender.kernels_session import (
    MAX_RUNNING_ITEMS,
    decays,
    greatest,
    recent_sessions,
    running_session,
)
from recommender.retrievers.vstan import MINUTE_US, Vstan, VstanParams
from tests.recommender.small import small_arrays

NOW = 20_000 * DAY_US
GAP_US = 30 * MINUTE_US
OFF = 1e9
PLAIN = VstanParams(
    lambda_spw=OFF, lambda_snh=OFF, lambda_inh=OFF, lambda_ipw=OFF, lambda_idf=0, length_power=0, extend=0, carry=1
)


def running(*minutes_ago_and_item: tuple[float, int], anchors: tuple[int, ...] = (), n_older: int = 0):
    """Items newest first, and how many are the session's own; touches come oldest first."""
    at = np.array([NOW - round(minutes * MINUTE_US) for minutes, _ in minutes_ago_and_item], np.int64)
    touched = np.array([item for _, item in minutes_ago_and_item], np.int32)
    items, n_own = running_session(np.array(anchors, np.int32), touched, at, NOW, GAP_US, n_older)
    return items.tolist(), n_own


def vstan(params: VstanParams, *sessions: tuple[int, list[int]], n_items: int = 6) -> Vstan:
    """A source that knows some sessions, given by age in days and items, newest last."""
    held = [[s for s in range(len(sessions))[::-1] if item in sessions[s][1]] for item in range(n_items)]
    n_with = np.array([len(one) for one in held])
    arrays = {
        "vstan.indptr": np.cumsum([0, *map(len, held)]).astype(np.int64),
        "vstan.session": np.array([s for one in held for s in one], np.int32),
        "vstan.sessions.indptr": np.cumsum([0, *(len(items) for _, items in sessions)]).astype(np.int64),
        "vstan.sessions.item_idx": np.array([item for _, items in sessions for item in items], np.int32),
        "vstan.sessions.day": np.array([NOW // DAY_US - age for age, _ in sessions], np.int32),
        "vstan.idf": np.log(len(sessions) / np.maximum(1, n_with)).astype(np.float32),
        "vstan.params": np.array(params, np.float32),
    }
    return Vstan(arrays, Items(small_arrays()))


def found(source: Vstan, *items: int, **more) -> dict[int, float]:
    """Scores by item for somebody who touched some items a minute apart, the last one a minute ago."""
    at = NOW - np.arange(len(items), 0, -1) * MINUTE_US
    candidates = source.retrieve(Query(now=NOW, touch_idx=np.array(items, np.int32), touch_at=at, **more), 10)
    return dict(zip(candidates.item_idx.tolist(), candidates.score.tolist(), strict=True))


# the running session


def test_a_session_is_what_no_long_pause_interrupts_newest_first_and_each_item_once() -> None:
    assert running((90, 5), (50, 1), (45, 2), (20, 1), (1, 3)) == ([3, 1, 2], 3)


def test_some_items_from_before_the_session_follow_it() -> None:
    assert running((200, 4), (90, 5), (20, 1), n_older=1) == ([1, 5], 1)
    assert running((200, 4), (90, 5), (20, 1), n_older=9) == ([1, 5, 4], 1)


def test_where_nothing_runs_the_last_session_does() -> None:
    assert running((500, 4), (100, 1), (90, 2)) == ([2, 1], 2)


def test_items_of_the_page_are_the_newest_and_leave_an_old_session_behind() -> None:
    assert running((20, 1), (10, 2), anchors=(7, 2)) == ([7, 2, 1], 3)
    assert running((100, 1), (90, 2), anchors=(7,), n_older=1) == ([7, 2], 1)
    assert running(anchors=(7,)) == ([7], 1)
    assert running() == ([], 0)


def test_a_long_session_counts_by_its_last_items() -> None:
    items, n_own = running(*((60 - n, n) for n in range(60)))
    assert items == list(range(59, 59 - MAX_RUNNING_ITEMS, -1))
    assert n_own == MAX_RUNNING_ITEMS


# neighbours


def test_the_most_recent_sessions_of_several_items_come_with_the_shares_of_what_they_hold() -> None:
    indptr, sessions = np.array([0, 3, 5, 5], np.int64), np.array([9, 4, 1, 7, 4], np.int32)
    items, share = np.array([1, 0, 2], np.int32), np.array([0.5, 0.25, 1], np.float32)
    session, similarity, place = recent_sessions(indptr, sessions, items, share, 10)
    assert session.tolist() == [9, 7, 4, 1]
    assert similarity.tolist() == [0.25, 0.5, 0.75, 0.25]
    assert place.tolist() == [1, 0, 0, 1]
    assert recent_sessions(indptr, sessions, items, share, 2)[0].tolist() == [9, 7]


@given(values=st.lists(st.sampled_from([0.25, 0.5, 0.75, 1.0]), max_size=40), n=st.integers(1, 20))
def test_the_greatest_are_those_of_a_stable_sort_in_their_order(values, n) -> None:
    value = np.array(values, np.float32)
    assert greatest(value, n).tolist() == sorted(np.argsort(-value, kind="stable")[:n].tolist())


def test_a_decay_falls_by_e_every_scale() -> None:
    assert decays(2.0, 3).tolist() == pytest.approx([1, np.exp(-0.5), np.exp(-1)])


# votes


def test_every_item_of_a_neighbour_gets_its_similarity() -> None:
    source = vstan(PLAIN, (9, [0, 1, 2]), (5, [0, 3]), (3, [4, 5]))
    assert found(source, 1, 0) == pytest.approx({0: 3, 1: 2, 2: 2, 3: 1})


def test_a_newer_shared_item_makes_a_session_more_similar() -> None:
    source = vstan(PLAIN._replace(lambda_spw=2, remind=0), (9, [0, 2]), (5, [1, 3]))
    assert found(source, 0, 1) == pytest.approx({3: 1, 2: np.exp(-1 / 2)})


def test_an_older_or_a_longer_session_is_less_similar() -> None:
    sessions = (10, [0, 2]), (0, [0, 1, 3, 4])
    assert found(vstan(PLAIN._replace(lambda_snh=5, remind=0), *sessions), 0)[2] == pytest.approx(np.exp(-2))
    by_length = found(vstan(PLAIN._replace(length_power=0.5, remind=0), *sessions), 0)
    assert by_length == pytest.approx({1: 1 / 2, 2: 1 / np.sqrt(2), 3: 1 / 2, 4: 1 / 2})


def test_items_near_the_last_shared_one_count_most() -> None:
    source = vstan(PLAIN._replace(lambda_inh=1, remind=0), (1, [2, 0, 3, 1, 4, 5]))
    assert found(source, 0, 1) == pytest.approx(
        {2: 2 * np.exp(-3), 3: 2 * np.exp(-1), 4: 2 * np.exp(-1), 5: 2 / np.e**2}
    )


def test_a_session_whose_newest_shared_item_is_old_votes_less() -> None:
    source = vstan(PLAIN._replace(lambda_ipw=1, remind=0), (2, [0, 2]), (1, [1, 3]))
    assert found(source, 0, 1) == pytest.approx({3: 1, 2: np.exp(-1)})


def test_rare_items_count_more() -> None:
    source = vstan(PLAIN._replace(lambda_idf=2, remind=0), (2, [0, 2, 3]), (1, [1, 3]))
    assert found(source, 0) == pytest.approx({2: 1 + 2 * np.log(2), 3: 1})


def test_only_the_nearest_of_the_most_recent_sessions_vote() -> None:
    sessions = (3, [0, 1, 2]), (2, [0, 1, 3]), (1, [0, 4])
    assert set(found(vstan(PLAIN._replace(k=1, remind=0), *sessions), 0, 1)) == {3}
    assert set(found(vstan(PLAIN._replace(sample_size=1, remind=0), *sessions), 0, 1)) == {4}


def test_the_session_itself_is_proposed_only_where_it_may_remind() -> None:
    sessions = ((1, [0, 1]),)
    assert set(found(vstan(PLAIN, *sessions), 0)) == {0, 1}
    assert set(found(vstan(PLAIN._replace(remind=0), *sessions), 0)) == {1}


def test_what_came_before_the_session_counts_by_its_carry() -> None:
    source = vstan(PLAIN._replace(extend=1, carry=0.25, remind=0), (2, [0, 2]), (1, [1, 3]))
    at = np.array([NOW - 90 * MINUTE_US, NOW - MINUTE_US])
    item_idx, score = source.retrieve(Query(now=NOW, touch_idx=np.array([0, 1], np.int32), touch_at=at), 5)
    assert (item_idx.tolist(), score.tolist()) == ([3, 2], [1.0, 0.25])


def test_an_item_that_no_session_holds_finds_nothing() -> None:
    assert found(vstan(PLAIN, (1, [0, 1])), 5) == {}
    assert found(vstan(PLAIN, (1, [0, 1])), anchor_idx=np.array([1], np.int32)) == {0: 1, 1: 1}


def test_a_session_that_is_not_there_is_refused() -> None:
    whole = small_arrays()
    with pytest.raises(BundleCorrupt, match="session"):
        Vstan({**whole, "vstan.session": whole["vstan.session"] + len(whole["vstan.sessions.day"])}, Items(whole))
