from __future__ import annotations

import numpy as np
import pytest

from recommender.engine import Engine
from training.load import Data
from training.pools import pools_of
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
