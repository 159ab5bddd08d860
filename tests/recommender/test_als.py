"""Folding a customer in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.retrievers.als import FEW, Regularisation, confidence_of, fold_in

N_ITEMS, N_FACTORS = 12, 4


def straight_factors(seed: int) -> np.ndarray:
    """Random item factors whose columns are at right angles."""
    factors = np.random.default_rng(seed).normal(size=(N_ITEMS, N_FACTORS))
    _, axes = np.linalg.eigh(factors.T @ factors)
    return (factors @ axes).astype(np.float32)


def least_squares(factors, item_idx, confidence, reg) -> np.ndarray:
    """Minimiser of ``sum_i c_i (p_i - y_i x)^2 + reg |x|^2``, as one stacked ordinary least squares."""
    weight, wanted = np.ones(len(factors)), np.zeros(len(factors))
    weight[item_idx], wanted[item_idx] = confidence, 1
    n = factors.shape[1]
    rows = np.vstack([factors * np.sqrt(weight)[:, None], np.sqrt(reg) * np.eye(n)])
    return np.linalg.lstsq(rows, np.concatenate([wanted * np.sqrt(weight), np.zeros(n)]), rcond=None)[0]


@given(st.integers(0, 10_000), st.sets(st.integers(0, N_ITEMS - 1)), st.sampled_from([0.1, 1.0, 10.0]))
def test_folding_in_solves_the_least_squares_problem_with_few_items_and_with_many(seed, seen, reg) -> None:
    factors = straight_factors(seed)
    item_idx = np.array(sorted(seen), np.int32)
    confidence = np.random.default_rng(seed).uniform(1, 30, len(item_idx)).astype(np.float32)
    spectrum = (factors**2).sum(axis=0)
    taste = fold_in(factors, spectrum, item_idx, confidence, reg=reg)
    np.testing.assert_allclose(taste, least_squares(factors, item_idx, confidence, reg), atol=3e-4)


@pytest.mark.parametrize("n", [1, 2, 20, FEW])
def test_the_loop_for_few_items_solves_what_the_library_solves(n, monkeypatch) -> None:
    rng = np.random.default_rng(n)
    factors = rng.normal(0, 0.1, (500, 64)).astype(np.float32)
    spectrum = rng.uniform(1, 9, 64).astype(np.float32)
    item_idx = np.sort(rng.choice(500, n, replace=False)).astype(np.int32)
    confidence = np.where(np.arange(n) % 2, rng.uniform(1, 60, n), 1).astype(np.float32)
    by_loop = fold_in(factors, spectrum, item_idx, confidence, reg=0.5)
    monkeypatch.setattr("recommender.retrievers.als.FEW", 0)
    np.testing.assert_allclose(by_loop, fold_in(factors, spectrum, item_idx, confidence, reg=0.5), atol=2e-6)


def test_one_item_and_one_factor_by_hand() -> None:
    factors, spectrum = np.array([[2.0], [1.0]], np.float32), np.array([5.0], np.float32)
    # (4 + 1 + 1 + (3 - 1) 4) x = 3 * 2
    taste = fold_in(factors, spectrum, np.array([0], np.int32), np.array([3], np.float32), reg=1.0)
    assert taste.tolist() == pytest.approx([6 / 14])


def test_confidence_is_always_above_that_of_no_touch() -> None:
    assert confidence_of(np.array([0, 0.5, 2], np.float32), 20.0).tolist() == pytest.approx([1.001, 11, 41])


def test_regularisation_grows_with_what_is_known_as_far_as_it_is_told_to() -> None:
    assert [Regularisation(2.0, 10.0, 0.0).of(n) for n in (1, 90)] == [2, 2]
    assert [Regularisation(2.0, 10.0, 1.0).of(n) for n in (1, 90)] == pytest.approx([22, 200])
    assert [Regularisation(2.0, 10.0, 0.5).of(n) for n in (6, 90)] == pytest.approx([8, 20])
