from __future__ import annotations

from typing import ClassVar

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.blend import CONTEXTS, PRIOR, STAGES, STRANGER, TASKS, Blend, context_of, pool_of
from recommender.contract import NOTHING, ArraySpec, Candidates, Query
from recommender.engine import empty_arrays, sources_of
from recommender.retrievers import RETRIEVERS

SOURCES = tuple(retriever.name for retriever in RETRIEVERS)
some_sources = st.lists(st.sampled_from([*SOURCES, "unheard_of"]), unique=True).map(tuple)


class Fixed:
    """A source that always proposes the same."""

    name = "fixed"
    arrays: ClassVar[dict[str, ArraySpec]] = {}

    def __init__(self, item_idx, score) -> None:
        self._found = Candidates(np.array(item_idx, np.int32), np.array(score, np.float32))

    def retrieve(self, query, n):
        return Candidates(self._found.item_idx[:n], self._found.score[:n])


@st.composite
def blends(draw) -> Blend:
    shape = (len(CONTEXTS), len(SOURCES))
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    weights = {task: rng.dirichlet(np.full(shape[1], 0.3), shape[0]).astype(np.float32) for task in TASKS}
    n_cases = {task: tuple(rng.integers(0, 500, shape[0]).tolist()) for task in TASKS if draw(st.booleans())}
    return Blend(SOURCES, weights, n_cases)


def test_a_pool_is_the_union_with_each_source_over_its_best() -> None:
    sources = [Fixed([7, 2], [4, 1]), Fixed([], []), Fixed([2, 5], [0.5, 0.25])]
    pool = pool_of(sources, Query(now=0), 31)
    assert pool.item_idx.tolist() == [2, 5, 7]
    assert pool.parts.tolist() == [[0.25, 0, 1], [0, 0, 0.5], [1, 0, 0]]


def test_a_pool_of_nothing_is_empty() -> None:
    pool = pool_of([Fixed(*NOTHING)], Query(now=0), 31)
    assert pool.item_idx.shape == (0,)
    assert pool.parts.shape == (0, 1)


def test_each_source_gives_no_more_than_it_is_asked_for() -> None:
    pool = pool_of([Fixed([1, 2, 3], [3, 2, 1]), Fixed([9, 8, 7], [3, 2, 1])], Query(now=0), 31, n=2)
    assert pool.item_idx.tolist() == [1, 2, 8, 9]


proposals = st.dictionaries(st.integers(0, 30), st.floats(2**-10, 16, width=32), max_size=12)


@given(st.lists(proposals, min_size=1, max_size=4))
def test_parts_lie_between_nought_and_one_and_every_source_that_speaks_has_a_best(found) -> None:
    sources = [
        Fixed(*zip(*sorted(p.items(), key=lambda kv: (-kv[1], kv[0])), strict=True)) if p else Fixed([], [])
        for p in found
    ]
    pool = pool_of(sources, Query(now=0), 31)
    assert pool.item_idx.tolist() == sorted({row for p in found for row in p})
    assert ((pool.parts >= 0) & (pool.parts <= 1)).all()
    assert [column.max(initial=0) == 1 for column in pool.parts.T] == [bool(p) for p in found]
    for row, parts in zip(pool.item_idx.tolist(), pool.parts, strict=True):
        assert [part > 0 for part in parts] == [row in p for p in found]


@given(blends())
def test_a_blend_comes_back_from_json(blend) -> None:
    again = Blend.of_document(msgspec.json.decode(msgspec.json.encode(blend.to_document())))
    assert again.sources == blend.sources
    assert all(np.array_equal(again.weights[task], blend.weights[task]) for task in TASKS)
    assert again.n_cases == blend.n_cases


@pytest.mark.parametrize("n_cases", [{"any": [1, 2]}, {"any": [-1] * len(CONTEXTS)}, {"new": ["?"] * 9}, [1], 7])
def test_numbers_of_cases_that_make_no_sense_are_refused(n_cases) -> None:
    with pytest.raises((TypeError, ValueError)):
        Blend.of_document(Blend.uniform(SOURCES).to_document() | {"n_cases": n_cases})


def test_pooled_weights_are_the_mean_over_stages_by_their_cases_apart_for_sessions() -> None:
    rows = np.zeros((len(CONTEXTS), 2), np.float32)
    rows[:, 0] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    rows[:, 1] = 1 - rows[:, 0]
    n = (30, 0, 10, 0, 0, 5, 0, 15, 1_000)
    pooled = Blend(("a", "b"), {"any": rows, "new": rows}, {"any": n}).pooled()
    between, live = (30 * 0.1 + 10 * 0.3) / 40, (5 * 0.6 + 15 * 0.8) / 20
    assert pooled.weights["any"][:, 0] == pytest.approx([*[between, live] * 4, 0.9])
    # Where no case was counted every stage counts alike.
    assert pooled.weights["new"][:, 0] == pytest.approx([*[0.4, 0.5] * 4, 0.9])


@given(blends())
def test_pooled_weights_lie_on_the_simplex_know_no_stage_and_pool_to_themselves(blend) -> None:
    pooled = blend.pooled()
    again = pooled.pooled()
    for task in TASKS:
        assert np.array_equal(pooled.weights[task][-1], blend.weights[task][-1])
        rows = pooled.weights[task][:-1].reshape(len(STAGES), 2, -1)
        assert (rows == rows[:1]).all()
        np.testing.assert_allclose(rows.sum(axis=2), 1, atol=1e-5)
        np.testing.assert_allclose(again.weights[task], pooled.weights[task], atol=1e-6)


@given(blends(), some_sources)
def test_projected_weights_stay_on_the_simplex_in_the_same_proportions(blend, sources) -> None:
    projected = blend.projected(sources)
    assert projected.sources == sources
    for task in TASKS:
        rows = projected.weights[task]
        assert rows.shape == (len(CONTEXTS), len(sources))
        if sources:
            np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
        kept = [name for name in sources if name in SOURCES]
        before = blend.weights[task][:, [SOURCES.index(name) for name in kept]]
        after = rows[:, [sources.index(name) for name in kept]]
        total = before.sum(axis=1, keepdims=True)
        enough = total[:, 0] > 1e-6
        np.testing.assert_allclose(after[enough] * total[enough], before[enough], atol=1e-5)


@given(blends())
def test_projecting_on_its_own_sources_changes_nothing(blend) -> None:
    same = blend.projected(SOURCES)
    assert all(np.allclose(same.weights[task], blend.weights[task], atol=1e-6) for task in TASKS)


@given(some_sources.filter(lambda names: set(names) & set(PRIOR["any"])))
def test_prior_and_equal_weights_sum_to_one_in_every_context(sources) -> None:
    for blend in (Blend.uniform(sources), Blend.prior(sources)):
        for task in TASKS:
            if task == "any" or set(sources) & set(PRIOR["new"]):
                np.testing.assert_allclose(blend.weights[task].sum(axis=1), 1, atol=1e-5)


def test_one_source_alone_has_all_the_weight() -> None:
    blend = Blend.only("als", SOURCES)
    assert blend.of("new", "retention/live").tolist() == [float(name == "als") for name in SOURCES]


def test_every_stage_has_a_context_in_a_session_and_between_sessions() -> None:
    staged = {context_of(stage, live=live) for stage in STAGES for live in (True, False)}
    assert set(CONTEXTS) == staged | {STRANGER}
    assert len(CONTEXTS) == 2 * len(STAGES) + 1


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("context", CONTEXTS)
def test_each_context_has_its_own_row(task, context) -> None:
    weights = {name: np.arange(len(CONTEXTS), dtype=np.float32)[:, None] + 10 * at for at, name in enumerate(TASKS)}
    assert Blend(("popular",), weights).of(task, context)[0] == CONTEXTS.index(context) + 10 * TASKS.index(task)


def test_a_prior_names_sources_that_exist() -> None:
    assert set(PRIOR) == set(TASKS)
    assert all(set(by_source) <= set(SOURCES) for by_source in PRIOR.values())
    assert sources_of(empty_arrays()) == ("recent",)
