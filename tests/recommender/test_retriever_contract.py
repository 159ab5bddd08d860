"""What every retriever promises, whatever the query."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from features.events import DAY_US
from recommender.contract import TOUCHES, Query, best, summed
from recommender.engine import UNPERSONAL
from recommender.items import KINDS
from recommender.kernels import EVERYTHING, best_of_all
from recommender.retrievers import RETRIEVERS
from tests.recommender.small import NOW, small_arrays, small_engine

N_ITEMS = len(small_engine().items)
PERSONAL = [retriever for retriever in RETRIEVERS if retriever.name not in UNPERSONAL]

rows = st.integers(0, N_ITEMS - 1)


@st.composite
def queries(draw) -> Query:
    touched = sorted(draw(st.lists(st.tuples(st.integers(1, 90 * DAY_US), rows), max_size=12)), reverse=True)
    counts = draw(
        st.lists(
            st.lists(st.integers(0, 3), min_size=len(TOUCHES), max_size=len(TOUCHES)),
            min_size=len(touched),
            max_size=len(touched),
        )
    )
    bought = sorted(draw(st.lists(st.tuples(st.integers(0, 400), rows, st.integers(1, 4)), max_size=6)), reverse=True)
    kinds = draw(st.sets(st.sampled_from(KINDS), min_size=1))
    items = small_engine().items
    mask = draw(st.none() | st.lists(st.booleans(), min_size=N_ITEMS, max_size=N_ITEMS))
    of_kinds = items.of_kinds(tuple(kinds))
    allowed = None if mask is None else np.array(mask, np.bool_)
    if of_kinds is not None:
        allowed = of_kinds if allowed is None else allowed & of_kinds
    return Query(
        now=NOW,
        touch_idx=np.array([row for _, row in touched], np.int32),
        touch_at=np.array([NOW - age for age, _ in touched], np.int64),
        touch_counts=np.array(counts, np.int32).reshape(-1, len(TOUCHES)),
        bought_idx=np.array([row for _, row, _ in bought], np.int32),
        bought_day=np.array([NOW // DAY_US - age for age, _, _ in bought], np.int32),
        bought_n=np.array([n for _, _, n in bought], np.int32),
        anchor_idx=np.array(draw(st.lists(rows, max_size=3, unique=True)), np.int32),
        locale=draw(st.sampled_from([None, "tr", "en-GB"])),
        kinds=tuple(kind for kind in KINDS if kind in kinds),
        text=draw(st.sampled_from([None, "tea", "garden spade", "nothing of the sort"])),
        is_allowed=allowed,
    )


sizes = st.integers(1, 20)


def every_retriever():
    """All of them answer the same query, which takes longer to make than to answer; a failure tells whose it is."""
    for retriever in small_engine().retrievers:
        note(retriever.name)
        yield retriever


def test_every_retriever_takes_part() -> None:
    assert [type(retriever) for retriever in small_engine().retrievers] == list(RETRIEVERS)


@given(query=queries(), n=sizes)
def test_candidates_are_unique_rows_of_the_catalogue_at_most_n_of_them(query, n) -> None:
    for retriever in every_retriever():
        item_idx, score = retriever.retrieve(query, n)
        assert len(item_idx) == len(score) <= n
        assert len(set(item_idx.tolist())) == len(item_idx)
        assert all(0 <= row < N_ITEMS for row in item_idx.tolist())
        assert (item_idx.dtype, score.dtype) == (np.int32, np.float32)


@given(query=queries(), n=sizes)
def test_scores_are_positive_and_finite_and_fall_with_ties_by_item(query, n) -> None:
    for retriever in every_retriever():
        item_idx, score = retriever.retrieve(query, n)
        assert np.isfinite(score).all()
        assert (score > 0).all()
        pairs = list(zip((-score).tolist(), item_idx.tolist(), strict=True))
        assert pairs == sorted(pairs)


@given(query=queries(), n=sizes)
def test_only_what_is_allowed_is_proposed(query, n) -> None:
    for retriever in every_retriever():
        item_idx = retriever.retrieve(query, n).item_idx
        if query.is_allowed is not None:
            assert query.is_allowed[item_idx].all()
        assert {KINDS[kind] for kind in small_engine().items.kind[item_idx]} <= set(query.kinds)


@given(query=queries(), n=sizes)
def test_asking_for_fewer_gives_the_beginning_of_the_longer_answer(query, n) -> None:
    for retriever in every_retriever():
        everything = retriever.retrieve(query, N_ITEMS)
        some = retriever.retrieve(query, n)
        assert some.item_idx.tolist() == everything.item_idx[:n].tolist()
        assert some.score.tolist() == everything.score[:n].tolist()


@given(query=queries(), n=sizes)
def test_the_same_query_gives_the_same_answer_and_is_left_as_it_was(query, n) -> None:
    for retriever in every_retriever():
        before = [np.copy(value) if isinstance(value, np.ndarray) else value for value in astuple(query)]
        first = retriever.retrieve(query, n)
        again = type(retriever)(small_arrays(), small_engine().items).retrieve(query, n)
        assert first.item_idx.tobytes() == again.item_idx.tobytes()
        assert first.score.tobytes() == again.score.tobytes()
        assert all(np.array_equal(a, b) for a, b in zip(before, astuple(query), strict=True))


@given(query=queries())
def test_nothing_comes_where_nothing_is_allowed(query) -> None:
    for retriever in every_retriever():
        closed = replace(query, is_allowed=np.zeros(N_ITEMS, np.bool_))
        assert not len(retriever.retrieve(closed, 10).item_idx)


@pytest.mark.parametrize("retriever", PERSONAL, ids=lambda r: r.name)
def test_a_personal_source_has_nothing_for_somebody_unknown(retriever) -> None:
    found = retriever(small_arrays(), small_engine().items).retrieve(Query(now=NOW), 10)
    assert not len(found.item_idx)


@pytest.mark.parametrize("retriever", RETRIEVERS, ids=lambda r: r.name)
def test_a_source_reads_arrays_of_its_own_name_only(retriever) -> None:
    assert all(name.startswith(f"{retriever.name}.") for name in retriever.arrays)
    made = {name: small_arrays()[name] for name in retriever.arrays}
    assert {name: (a.dtype.name, a.ndim) for name, a in made.items()} == dict(retriever.arrays)


scored = st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, np.inf, np.nan]), max_size=60)


@given(scores=scored, n=sizes)
def test_the_best_are_those_of_a_full_sort(scores, n) -> None:
    score = np.array(scores, np.float32)
    item_idx = np.arange(len(score), dtype=np.int32)[::-1].copy()
    usable = [(-s, i) for s, i in zip(score.tolist(), item_idx.tolist(), strict=True) if np.isfinite(s) and s > 0]
    found = best(item_idx, score, n)
    assert list(zip((-found.score).tolist(), found.item_idx.tolist(), strict=True)) == sorted(usable)[:n]


@given(scores=st.lists(st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]), max_size=60), n=sizes)
def test_the_best_of_a_dense_score_are_those_of_its_rows(scores, n) -> None:
    score = np.array(scores, np.float32)
    (item_idx, values), sparse = (
        best_of_all(score, EVERYTHING, n),
        best(np.arange(len(score), dtype=np.int32), score, n),
    )
    assert item_idx.tolist() == sparse.item_idx.tolist()
    assert values.tolist() == sparse.score.tolist()


def test_scores_of_equal_items_add_up() -> None:
    item_idx, score = summed(np.array([4, 1, 4], np.int32), np.array([0.5, 1, 2], np.float32))
    assert (item_idx.tolist(), score.tolist()) == ([1, 4], [1.0, 2.5])
