"""Cold items: from what an item says of itself to the factors that its customers would have given it.

A ridge regression learns the way on items that have customers; items that have few are drawn towards what
their content says, those that have none are nothing else. Gantner et al. 2010, "Learning attribute-to-feature
mappings for cold-start recommendations".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import linalg, sparse

from training.fitting.content import text_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recommender.contract import FloatMatrix, FloatVector, IntVector, LongVector
    from training.fitting.content import Description

MAX_CATEGORIES: Final = 512
N_OVERSAMPLED: Final = 16
N_POWER_STEPS: Final = 3


class ColdParams(NamedTuple):
    """``n_text`` dimensions of text; ridge ``reg``; ``kappa`` customers that content counts for; size of cold items.

    ``size`` multiplies the median length of warm items to give the length of content's factors: the larger, the
    more often cold items stand before warm ones.
    """

    n_text: int = 128
    reg: float = 10.0
    kappa: float = 1.0
    size: float = 0.7


def item_features(
    items: Sequence[Description], category: IntVector, price_minor: LongVector, n_text: int, *, seed: int
) -> FloatMatrix:
    """What items say of themselves as numbers.

    Parameters
    ----------
    items
        In the order of the bundle's rows, those known at the cut-off only.
    category : int32, shape (n_items,)
        -1 for none; the commonest ``MAX_CATEGORIES`` have a column each.
    price_minor : int64, shape (n_items,)
        -1 where unknown.

    Returns
    -------
    float32, shape (n_items, n_features)
        ``n_text`` dimensions of TF-IDF text or fewer, categories, kinds, the logarithm of the price in standard units.
    """
    columns = [
        _reduced(text_rows(items), n_text, np.random.default_rng(seed)),
        _one_hot(category, MAX_CATEGORIES),
        _one_hot(_codes([item.kind for item in items]), MAX_CATEGORIES),
        _standard_log(price_minor),
    ]
    return np.hstack(columns).astype(np.float32)


def warmed(factors: FloatMatrix, features: FloatMatrix, n_customers: FloatVector, params: ColdParams) -> FloatMatrix:
    """Item factors in which cold items have their content's, and warm ones are drawn a little towards it.

    ``v = (n v_cf + kappa v_content) / (n + kappa)``, with ``v_content`` from a ridge regression whose rows weigh
    ``sqrt(n)``, scaled so that its median length is ``size`` times that of the warm items.

    Parameters
    ----------
    factors : float32, shape (n_items, n_factors)
        Zeros for items without customers.
    features : float32, shape (n_items, n_features)
        An item whose features are all zero stays as it is.
    n_customers : float32, shape (n_items,)

    Returns
    -------
    float32, shape (n_items, n_factors)
        ``factors`` themselves where no item is warm or no item has features.
    """
    is_warm = (n_customers > 0) & factors.any(axis=1)
    says = features.any(axis=1)
    if not (is_warm & says).any():
        return factors
    content = features @ _ridge(features[is_warm], factors[is_warm], np.sqrt(n_customers[is_warm]), params.reg)
    length = np.linalg.norm(content, axis=1)
    usual = np.median(length[is_warm & says])
    wanted = params.size * np.median(np.linalg.norm(factors[is_warm], axis=1))
    content *= np.float32(wanted / max(float(usual), 1e-12))
    share = params.kappa / np.maximum(n_customers + params.kappa, 1e-12)
    share = np.where(says, np.where(is_warm, share, 1), 0)[:, None]
    return np.asarray((1 - share) * factors + share * content, np.float32)


def _ridge(features: FloatMatrix, factors: FloatMatrix, weight: FloatVector, reg: float) -> FloatMatrix:
    """``(F' D F + reg I)^-1 F' D V``, shape (n_features, n_factors)."""
    weighted = features * weight[:, None]
    normal = (weighted.T @ features).astype(np.float64)
    normal.flat[:: len(normal) + 1] += reg
    solution = linalg.solve(normal, weighted.T @ factors, assume_a="pos")
    return np.asarray(solution, np.float32)


def _reduced(rows: sparse.csr_array, n: int, rng: np.random.Generator) -> FloatMatrix:
    """Left singular vectors times singular values, float32, shape (n_rows, <= n); Halko et al. 2011, algorithm 4.4."""
    # A word that one item has says nothing of others, and its column costs as much as any.
    rows = rows[:, np.bincount(rows.indices, minlength=rows.shape[1]) > 1]
    n = min(n, *rows.shape)
    if n == 0 or not rows.nnz:
        return np.empty((rows.shape[0], 0), np.float32)
    width = min(n + N_OVERSAMPLED, *rows.shape)
    basis = np.linalg.qr(rows @ rng.standard_normal((rows.shape[1], width)).astype(np.float32))[0]
    for _ in range(N_POWER_STEPS):
        basis = np.linalg.qr(rows @ np.linalg.qr(rows.T @ basis)[0])[0]
    left, size, _ = np.linalg.svd((rows.T @ basis).T, full_matrices=False)
    return np.asarray((basis @ left[:, :n]) * size[:n], np.float32)


def _one_hot(code: IntVector, n: int) -> FloatMatrix:
    """A column for each of the ``n`` commonest codes, -1 left out; float32, shape (n_items, <= n)."""
    names, count = np.unique(code[code >= 0], return_counts=True)
    kept = np.sort(names[np.argsort(-count, kind="stable")[:n]])
    columns: FloatMatrix = (code[:, None] == kept).astype(np.float32)
    return columns


def _codes(values: Sequence[str]) -> IntVector:
    return np.unique(values, return_inverse=True)[1].astype(np.int32) if len(values) else np.empty(0, np.int32)


def _standard_log(price_minor: LongVector) -> FloatMatrix:
    """Logarithm of the price less its mean, over its deviation; 0 where unknown; shape (n_items, 1)."""
    is_known = price_minor > 0
    log = np.log(np.maximum(price_minor, 1))
    mean, deviation = (log[is_known].mean(), log[is_known].std()) if is_known.any() else (0.0, 1.0)
    return np.where(is_known, (log - mean) / max(deviation, 1e-6), 0)[:, None].astype(np.float32)
