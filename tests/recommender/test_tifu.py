"""TIFU-KNN, worked by hand. Days are given as ages."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BundleCorrupt
from recommender.kernels_repeat import basket_vector
from recommender.retrievers.tifu import Tifu, TifuParams
from tests.recommender.small import small_arrays, small_engine
from tests.recommender.test_own import query_of_purchases

ITEMS = small_engine().items
HALF = 0.5**0.5


def tifu(rows: list[dict[int, float]], params: TifuParams) -> Tifu:
    """A source whose neighbours hold some items each."""
    pairs = sorted((item, row, weight) for row, one in enumerate(rows) for item, weight in one.items())
    item, row, weight = (np.array(column) for column in zip(*pairs, strict=True))
    arrays = {
        "tifu.indptr": np.searchsorted(item, np.arange(len(ITEMS) + 1)).astype(np.int64),
        "tifu.row": row.astype(np.int32),
        "tifu.weight": weight.astype(np.float32),
        "tifu.rows.indptr": np.cumsum([0, *map(len, rows)]).astype(np.int64),
        "tifu.rows.item_idx": np.array([i for one in rows for i in one], np.int32),
        "tifu.rows.weight": np.array([w for one in rows for w in one.values()], np.float32),
        "tifu.params": np.array(params, np.float32),
    }
    return Tifu(arrays, ITEMS)


def vector(purchases, group_size, within, between) -> dict[int, float]:
    query = query_of_purchases(*purchases)
    found = basket_vector(query.bought_idx, query.bought_day, group_size, within, between)
    return dict(zip(*(column.tolist() for column in found), strict=True))


def test_a_vector_decays_within_groups_and_between_them() -> None:
    # Groups of two days from the newest: {item 2 at 1, item 1 at 5} and {item 0 at 9} alone.
    found = vector([(0, 9), (1, 5), (2, 1)], 2, 0.8, 0.4)
    plain = {0: 0.4, 1: 0.8 / 2, 2: 1 / 2}
    length = sum(w * w for w in plain.values()) ** 0.5
    assert found == pytest.approx({item: w / length for item, w in plain.items()})


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=1, unique=True),
    st.integers(1, 4),
    st.sampled_from([0.5, 0.9, 1.0]),
    st.sampled_from([0.6, 1.0]),
)
def test_a_vector_is_the_sum_over_baskets_of_its_definition(purchases, group_size, within, between) -> None:
    newest_first = sorted({age for _, age in purchases})
    plain: dict[int, float] = defaultdict(float)
    for item, age in purchases:
        group, place = divmod(newest_first.index(age), group_size)
        size = min(group_size, len(newest_first) - group * group_size)
        plain[item] += between**group * within**place / size
    length = sum(w * w for w in plain.values()) ** 0.5
    found = vector(sorted(purchases, key=lambda one: -one[1]), group_size, within, between)
    assert found == pytest.approx({item: w / length for item, w in plain.items()}, rel=1e-5)


def test_own_items_and_those_of_the_nearest_row_add_up() -> None:
    source = tifu(
        [{0: 1.0}, {0: HALF, 4: HALF}, {1: 0.6, 5: 0.8}], TifuParams(k=1, group_size=2, between=0.5, alpha=0.25)
    )
    found = source.retrieve(query_of_purchases((0, 3), (4, 3), (4, 1)), 9)
    # One group of two days: item 0 counts 1/2, item 4 counts 1; the second row is nearest.
    own = np.array([1, 2]) / 5**0.5
    assert found.item_idx.tolist() == [4, 0]
    assert found.score.tolist() == pytest.approx([0.25 * own[1] + 0.75 * HALF, 0.25 * own[0] + 0.75 * HALF])


def test_a_nearer_row_counts_more() -> None:
    source = tifu([{0: 0.6, 1: 0.8}, {0: 0.8, 2: 0.6}], TifuParams(k=2, alpha=0))
    found = source.retrieve(query_of_purchases((0, 3)), 9)
    mean = {0: (0.6 * 0.6 + 0.8 * 0.8) / 1.4, 1: 0.6 * 0.8 / 1.4, 2: 0.8 * 0.6 / 1.4}
    assert dict(zip(found.item_idx.tolist(), found.score.tolist(), strict=True)) == pytest.approx(mean)


def test_where_no_row_is_like_it_own_items_stand_alone() -> None:
    found = tifu([{1: 0.6, 5: 0.8}], TifuParams(alpha=0.25)).retrieve(query_of_purchases((3, 2)), 9)
    assert (found.item_idx.tolist(), found.score.tolist()) == ([3], [0.25])


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("tifu.row", lambda a: a + 1000),
        ("tifu.row", lambda a: a - 1000),
        ("tifu.weight", lambda a: a[:-1]),
        ("tifu.rows.weight", lambda a: a[:-1]),
        ("tifu.indptr", lambda a: a[:-1]),
        ("tifu.params", lambda a: a * 0),
    ],
)
def test_rows_that_point_outside_are_refused(name, broken) -> None:
    with pytest.raises(BundleCorrupt, match="tifu"):
        Tifu({**small_arrays(), name: broken(small_arrays()[name])}, ITEMS)
