"""Factors of cold items: the ridge by hand, and cold items found on data where content says all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.fitting.cold import ColdParams, item_features, warmed
from training.fitting.content import Description

NO_PRICE = np.full(4, -1, np.int64)
NO_CATEGORY = np.full(4, -1, np.int32)


def test_a_cold_item_gets_the_factors_of_its_content_by_ridge() -> None:
    features = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    factors = np.array([[2, 0], [0, 3], [0, 0]], np.float32)
    customers = np.array([4, 1, 0], np.float32)
    found = warmed(factors, features, customers, ColdParams(reg=1.0, kappa=0.0, size=1.0))
    # Rows weigh 2 and 1: 2 * 2 / (2 + 1) and 1 * 3 / (1 + 1); the median length 17/12 becomes 2.5.
    assert found[2].tolist() == pytest.approx([4 / 3 * 2.5 / (17 / 12), 0])
    assert found[:2].tolist() == factors[:2].tolist()


def test_an_item_with_few_customers_lies_between_its_content_and_its_customers() -> None:
    features = np.ones((3, 1), np.float32)
    factors = np.array([[1.0], [1.0], [3.0]], np.float32)
    customers = np.array([1e6, 1e6, 2], np.float32)
    found = warmed(factors, features, customers, ColdParams(reg=0.0, kappa=2.0, size=1.0))
    assert found.ravel().tolist() == pytest.approx([1, 1, (2 * 3 + 2 * 1) / 4], rel=1e-2)


def test_an_item_that_says_nothing_stays_as_it_is() -> None:
    features = np.array([[1], [0], [0]], np.float32)
    factors = np.array([[1.0], [2.0], [0.0]], np.float32)
    found = warmed(factors, features, np.array([5, 5, 0], np.float32), ColdParams())
    assert found[1:].tolist() == [[2.0], [0.0]]


@pytest.mark.parametrize(("factor", "feature"), [(0.0, 1.0), (1.0, 0.0)])
def test_without_warm_items_or_content_nothing_changes(factor, feature) -> None:
    factors, features = np.full((3, 2), factor, np.float32), np.full((3, 2), feature, np.float32)
    assert warmed(factors, features, np.ones(3, np.float32), ColdParams()) is factors


@given(st.integers(0, 1_000))
def test_more_customers_bring_an_item_nearer_to_what_they_say(seed) -> None:
    rng = np.random.default_rng(seed)
    factors, features = rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=(9, 4)).astype(np.float32)
    gaps = [
        np.linalg.norm(warmed(factors, features, np.full(9, n, np.float32), ColdParams(reg=0.0))[0] - factors[0])
        for n in (1, 4, 16)
    ]
    assert gaps == sorted(gaps, reverse=True)


def test_cold_items_are_found_by_what_they_say() -> None:
    rng = np.random.default_rng(3)
    topic = np.repeat(np.arange(4), 25)
    words = [[f"word{t}x{n}" for n in rng.choice(12, 4, replace=False)] for t in topic]
    taste = rng.normal(size=(4, 8)).astype(np.float32)
    factors = taste[topic] + 0.1 * rng.normal(size=(100, 8)).astype(np.float32)
    is_cold = np.arange(100) % 5 == 0
    customers = np.where(is_cold, 0, 20).astype(np.float32)
    features = item_features(
        [Description("content", text=" ".join(row)) for row in words],
        np.full(100, -1, np.int32),
        np.full(100, -1, np.int64),
        16,
        seed=0,
    )
    found = warmed(np.where(is_cold[:, None], 0, factors), features, customers, ColdParams())
    nearest = (found @ taste.T).argmax(axis=1)
    assert (nearest[is_cold] == topic[is_cold]).mean() > 0.9


def test_features_hold_text_categories_kinds_and_prices() -> None:
    items = [
        Description("product", title="red tea"),
        Description("product", title="red tea"),
        *[Description("content")] * 2,
    ]
    category, price = np.array([0, 0, 1, -1], np.int32), np.array([100, 10_000, -1, -1], np.int64)
    found = item_features(items, category, price, 8, seed=0)
    text = found[:, :-5]
    assert np.linalg.norm(text, axis=1).tolist() == pytest.approx([1, 1, 0, 0], abs=1e-5)
    assert found[:, -5:-3].tolist() == [[1, 0], [1, 0], [0, 1], [0, 0]]
    assert found[:, -3:-1].tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]
    assert found[:, -1].tolist() == pytest.approx([-1, 1, 0, 0])


def test_equal_items_and_seed_make_equal_features() -> None:
    items = [Description("product", title=f"tea {n} of the shop") for n in range(4)]
    first, again = (item_features(items, NO_CATEGORY, NO_PRICE, 3, seed=5) for _ in range(2))
    assert first.tobytes() == again.tobytes()
