"""What a model is worth in a shop whose truth is known: the same visits for every system, and several shops as one."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.true_value import BLIND, MODEL, ONE_MIX, POPULAR, Mix, Shop, pooled, table_of
from benchmarks.visits import Trial


def test_every_system_serves_the_same_visits_and_every_visit_is_in_one_slice_of_each_kind(tmp_path) -> None:
    shop = Shop(tmp_path / "shop", events=300, n_visits=12)
    found, slices = shop.trial([Mix.of("1,0,3")]), dict(shop.slices())
    assert {MODEL, BLIND, ONE_MIX, POPULAR, "mix 1,0,3"} < set(found.runs)
    assert {len(values) for values in found.runs.values()} == {12} == {len(found.customer_ids)}
    for kind in ("stage: ", "history: "):
        assert sum(keep.astype(int) for name, keep in slices.items() if name.startswith(kind)).tolist() == [1] * 12
    assert table_of(pooled([found]), slices, "a shop").row_count >= 4


def test_shops_are_pooled_by_what_all_of_them_have_and_the_best_source_is_that_of_all() -> None:
    common = {MODEL: (2.0,), BLIND: (1.0,), ONE_MIX: (3.0,), "mix 1,0,3": (8.0,), POPULAR: (9.0,)}
    first = Trial(["0/a"], common | {"als alone": (5.0,), "content alone": (1.0,), "vstan alone": (7.0,)})
    second = Trial(["1/a"], common | {"als alone": (1.0,), "content alone": (6.0,)})
    found = pooled([first, second])
    assert list(found.runs) == [MODEL, BLIND, ONE_MIX, "mix 1,0,3", POPULAR, "content alone"]
    both = np.ones(2, np.bool_)
    assert found.n_customers(both) == 2
    assert found.worth(MODEL, both, "content alone").mean == pytest.approx(((2 - 1) + (2 - 6)) / 2)
