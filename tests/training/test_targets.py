from __future__ import annotations

import numpy as np
import pytest

from features.events import DAY_US
from features.ids import key64
from recommender.items import KINDS
from training.load import Data
from training.split import Cases, cases_of, windows_of
from training.targets import COLD_DAYS, ItemFacts, facts_of, flattened, targets_of

NOW = 100 * DAY_US
KEYS = np.array([10, 20, 30, 40], np.int64)


def facts(first_seen_days):
    return ItemFacts(
        KEYS, np.array(first_seen_days, np.int64) * DAY_US, np.array([0, 1, 2, 0], np.uint8), np.zeros(4, np.int64), 3
    )


def cases(targets, touched, at=None):
    n = len(targets)
    as_of = np.full(n, NOW, np.int64) if at is None else np.array(at, np.int64)
    arrays = [[np.array(keys, np.int64) for keys in column] for column in (targets, touched)]
    levels = [np.ones(len(keys), np.uint8) for keys in arrays[0]]
    return Cases(np.zeros(n, np.uint8), [f"c{i}" for i in range(n)], as_of, *arrays, levels, states=None)


def test_targets_come_one_after_the_other_with_what_is_known_of_them():
    found = targets_of(cases([[20, 10], [30, 40]], [[10], [20, 40]]), facts([0, 0, 0, 0]))
    assert found.case.tolist() == [0, 0, 1, 1]
    assert found.item_key.tolist() == [20, 10, 30, 40]
    assert found.is_touched.tolist() == [False, True, False, True]
    assert [KINDS[kind] for kind in found.kind] == ["content", "product", "action", "product"]


@pytest.mark.parametrize(
    ("first_seen", "is_cold"), [(100 - COLD_DAYS, False), (101 - COLD_DAYS, True), (100, True), (110, True), (0, False)]
)
def test_an_item_is_cold_in_its_first_week_and_before_it_was_seen(first_seen, is_cold):
    found = targets_of(cases([[10]], [[]]), facts([first_seen, 0, 0, 0]))
    assert found.is_cold.tolist() == [is_cold]


def test_what_is_cold_is_told_by_the_moment_of_each_case():
    found = targets_of(cases([[10], [10]], [[], []], at=[NOW, NOW + COLD_DAYS * DAY_US]), facts([95, 0, 0, 0]))
    assert found.is_cold.tolist() == [True, False]


def test_no_cases_have_no_targets():
    found = targets_of(cases([], []), facts([0, 0, 0, 0]))
    assert len(found.case) == len(found.item_key) == len(found.is_touched) == len(found.kind) == 0
    assert [column.dtype for column in flattened([])] == [np.int64, np.int64]


@pytest.fixture(scope="module")
def data(shop):
    return Data(shop)


def test_facts_know_every_target_and_count_customers_before_the_moment_alone(data, journey):
    windows = windows_of(data)
    known = facts_of(data, windows.test)
    found = cases_of(data, windows.test, windows.until, journey.schema, n=60, seed=0)
    assert np.isin(targets_of(found, known).item_key, known.item_key).all()
    touches = data.touches.of_customers()
    before = touches.where(touches.at < windows.test)
    assert known.n_customers == len(set(before.customer_idx.tolist()))
    pairs = set(zip(before.customer_idx.tolist(), before.item_keys[before.item_idx].tolist(), strict=True))
    for key, n in zip(known.item_key.tolist(), known.n_customers_of.tolist(), strict=True):
        assert n == sum(item == key for _, item in pairs)


def test_facts_hold_the_first_time_an_item_was_named_and_its_kind(data):
    known = facts_of(data, data.until)
    kinds = {key64(item.item_id): item.kind for item in data.catalog}
    for item_id, first in data.first_seen.items():
        row = int(known.rows_of(np.array([key64(item_id)]))[0])
        assert known.first_seen_at[row] == first
        assert KINDS[known.kind[row]] == kinds.get(key64(item_id), KINDS[known.kind[row]])
