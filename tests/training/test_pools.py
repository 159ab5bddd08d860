from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recommender.candidates import Facts
from recommender.engine import Engine
from training.learning import LIFT, Lesson, rescored
from training.load import Data
from training.pools import pools_of
from training.ranking import fit_trees, ranked_columns, rows_for
from training.split import cases_of, windows_of


@pytest.fixture(scope="module")
def pools(shop, published, journey):
    """Candidates of cases of the whole log, of whom some come for the first time."""
    data = Data(shop)
    cases = cases_of(data, data.start, windows_of(data).until, journey.schema, n=300, seed=0)
    return pools_of(Engine.open(published.bundle), cases, is_new=False)


def test_strangers_are_among_the_cases_and_are_proposed_what_is_popular(pools):
    strangers = [i for i, query in enumerate(pools.queries) if not query.has_past]
    assert strangers
    popular = pools.sources.index("popular")
    assert all(pools.pool(i).parts[:, popular].any() for i in strangers)


def test_the_cases_with_a_past_are_the_others_in_their_order(pools):
    known = pools.with_past()
    kept = [i for i, query in enumerate(pools.queries) if query.has_past]
    assert 0 < len(known) == len(kept) < len(pools)
    assert all(query.has_past for query in known.queries)
    assert np.array_equal(known.context, pools.context[kept])
    assert np.array_equal(known.pool(0).parts, pools.pool(kept[0]).parts)


@pytest.fixture(scope="module")
def boosted(pools, published):
    """A few trees, the lesson that taught them, and the blend that they start from."""
    known, engine = pools.with_past(), published.fitted.engine
    lesson = Lesson({"any": known}, engine.items, Facts.of(published.fitted.arrays))
    blend = engine.blend.projected(known.sources)
    rows = rows_for(known, blend.weights["any"], lesson.items, lesson.facts, n_rows=20_000, seed=0)
    return fit_trees(rows, known.sources, seed=0, n_trees=3), lesson, blend


def test_a_ranker_scores_all_cases_at_once_as_it_scores_each(boosted):
    trees, lesson, blend = boosted
    known = lesson.pools["any"]
    found = rescored(trees, lesson, known, blend, "any")
    for case in range(len(known)):
        weights = blend.weights["any"][known.context[case]]
        kept, columns = ranked_columns(known, case, weights, lesson.items, lesson.facts)
        expected = np.zeros(known.bounds[case + 1] - known.bounds[case], np.float32)
        expected[kept] = LIFT + trees.score(columns)
        assert np.array_equal(found[known.bounds[case] : known.bounds[case + 1]], expected)


def test_where_nothing_is_proposed_there_is_nothing_to_score(boosted):
    trees, lesson, blend = boosted
    known = lesson.pools["any"]
    silent = replace(known, parts=sparse.csr_array(known.parts.shape, dtype=np.float32))
    assert not rescored(trees, lesson, silent, blend, "any").any()
