"""Choosing by codes: nothing that belongs to the best is missed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BundleCorrupt
from recommender.codes import GREATEST, Codes
from recommender.kernels import EVERYTHING
from recommender.kernels_factors import MAX_TASTE, coded_products


def random_factors(seed: int, n_items: int = 700, n_factors: int = 24) -> np.ndarray:
    """Rows of very different lengths."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n_items, n_factors)) * rng.exponential(size=(n_items, 1))).astype(np.float32)


def best_of(score: np.ndarray, n: int) -> set[int]:
    """Rows of the ``n`` greatest positive scores."""
    return {int(row) for row in np.argsort(-score, kind="stable")[:n] if score[row] > 0}


@given(st.integers(0, 10_000), st.sampled_from([1, 5, 100, 699, 700, 2_000]), st.booleans())
def test_the_best_of_the_full_product_are_always_within_reach(seed, n, is_masked) -> None:
    factors, rng = random_factors(seed), np.random.default_rng(seed + 1)
    taste = rng.normal(size=factors.shape[1]).astype(np.float32)
    allowed = rng.random(len(factors)) < 0.4 if is_masked else EVERYTHING
    rows = Codes.of(factors).within_reach(taste, allowed, n)
    score = factors.astype(np.float64) @ taste
    assert best_of(np.where(allowed, score, 0) if is_masked else score, n) <= set(rows.tolist())
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert not is_masked or allowed[rows].all()


@pytest.mark.parametrize("width", [0, 1, 15, 16, 17, 32, 130])
@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_coded_products_are_those_of_whole_numbers_at_any_width(n_rows, width) -> None:
    rng = np.random.default_rng(width)
    codes = rng.integers(-GREATEST, GREATEST + 1, (n_rows, width)).astype(np.int8)
    taste = rng.integers(-MAX_TASTE, MAX_TASTE + 1, width).astype(np.int16)
    assert np.array_equal(coded_products(codes, taste), codes.astype(np.int64) @ taste.astype(np.int64))


def test_the_greatest_coded_products_stay_within_32_bits() -> None:
    codes, taste = np.full((1, 2_000), GREATEST, np.int8), np.full(2_000, MAX_TASTE, np.int16)
    assert coded_products(codes, taste).tolist() == [GREATEST * MAX_TASTE * 2_000]
    assert coded_products(-codes, taste).tolist() == [-GREATEST * MAX_TASTE * 2_000]


def test_few_others_are_within_reach() -> None:
    factors = random_factors(3, n_items=20_000, n_factors=64)
    taste = np.random.default_rng(4).normal(size=64).astype(np.float32)
    assert len(Codes.of(factors).within_reach(taste, EVERYTHING, 100)) < 300


@pytest.mark.parametrize("taste", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_a_taste_without_a_direction_reaches_nothing(taste) -> None:
    codes = Codes.of(np.eye(2, dtype=np.float32))
    assert not len(codes.within_reach(np.array(taste, np.float32), EVERYTHING, 5))


def test_a_row_that_is_not_finite_is_never_within_reach() -> None:
    codes = Codes.of(np.array([[np.nan, 1], [np.inf, 1], [1, 1], [0, 0]], np.float32))
    assert codes.within_reach(np.ones(2, np.float32), EVERYTHING, 5).tolist() == [2]


def test_codes_are_those_of_the_bundle_and_made_anew_for_an_older_one() -> None:
    factors = random_factors(5)
    stored = Codes.of(factors).to_arrays()
    kept, anew = Codes.of_arrays(stored, factors), Codes.of_arrays({}, factors)
    assert kept.codes is stored["als.codes"]
    assert np.array_equal(kept.codes, anew.codes)
    assert np.array_equal(kept.bounds, anew.bounds)


def test_codes_of_other_factors_are_refused() -> None:
    with pytest.raises(BundleCorrupt, match=r"expected codes of \(700, 24\) factors"):
        Codes.of_arrays(Codes.of(random_factors(1)[:10]).to_arrays(), random_factors(1))
