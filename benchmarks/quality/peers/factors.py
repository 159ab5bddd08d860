"""Linear models of the whole matrix: implicit's ALS (Hu, Koren and Volinsky 2008) and EASE (Steck 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from benchmarks.quality.events import past_matrix, query_matrix
from benchmarks.quality.peers.base import NEVER, Peer, some_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.quality.events import Past, Queries
    from benchmarks.quality.lists import Model, Scores

N_THREADS: Final = 2


class Als(NamedTuple):
    """implicit's own defaults; ``half_life`` in days."""

    factors: int = 100
    regularization: float = 0.01
    alpha: float = 1.0
    iterations: int = 15
    half_life: float = NEVER
    is_graded: bool = False
    is_binary: bool = False


def fit_als(past: Past, setting: Als) -> Model:
    """Factors of implicit; a query's own are solved from its history."""
    kind = {"is_graded": setting.is_graded, "is_binary": setting.is_binary}
    matrix = past_matrix(past, setting.half_life, **kind)
    model = AlternatingLeastSquares(
        factors=setting.factors,
        regularization=setting.regularization,
        alpha=setting.alpha,
        iterations=setting.iterations,
        random_state=0,
        num_threads=N_THREADS,
    )
    with threadpool_limits(1, "blas"):  # it has threads of its own, which BLAS would get in the way of
        model.fit(sparse.csr_matrix(matrix), show_progress=False)

    def score(queries: Queries) -> Scores:
        asked = sparse.csr_matrix(query_matrix(queries, setting.half_life, **kind))
        with threadpool_limits(1, "blas"):
            factors = model.recalculate_user(np.arange(len(queries)), asked)
        return np.asarray(factors @ model.item_factors.T, np.float32)

    return score


class Ease(NamedTuple):
    """L2 weight, in interactions."""

    reg: float = 300.0


def fit_ease(past: Past, setting: Ease) -> Model:
    """Closed-form item weights over the items that occur, on the binary matrix."""
    matrix = past_matrix(past, NEVER, is_graded=False, is_binary=True)
    occurs = np.flatnonzero(np.bincount(matrix.indices, minlength=past.n_items))
    weight = _ease(matrix[:, occurs], setting.reg)

    def score(queries: Queries) -> Scores:
        asked = query_matrix(queries, NEVER, is_graded=False, is_binary=True)[:, occurs]
        scores = np.zeros((len(queries), past.n_items), np.float32)
        scores[:, occurs] = asked @ weight
        return scores

    return score


def _ease(matrix: sparse.csr_array, reg: float) -> NDArray[np.float32]:
    gram = (matrix.T @ matrix).toarray(order="F")
    diagonal = np.diag_indices(len(gram))
    gram[diagonal] += reg
    factor, failed = lapack.spotrf(gram, lower=1, overwrite_a=1)
    if failed:
        raise ValueError(f"EASE: expected a positive definite Gram matrix, got a failure at {failed}")
    inverse, _ = lapack.spotri(factor, lower=1, overwrite_c=1)
    for column in range(len(inverse)):
        inverse[column, column + 1 :] = inverse[column + 1 :, column]
    inverse /= -inverse[diagonal]
    inverse[diagonal] = 0
    return np.asarray(inverse)


ALS_DEFAULT: Final = Peer("ALS, library defaults", fit_als, (Als(),))
ALS: Final = Peer(
    "ALS, tuned",
    fit_als,
    (
        Als(64, 5.0, 40.0),
        Als(128, 10.0, 40.0),
        Als(128, 10.0, 40.0, is_binary=True),
        Als(128, 5.0, 20.0, is_binary=True),
        Als(256, 10.0, 40.0),
        Als(128, 1.0, 10.0, half_life=30.0),
        *some_of(
            Als(64, 1.0, 10.0, is_graded=True),
            n=6,
            seed=2,
            factors=(64, 128),
            regularization=(0.1, 1.0, 5.0, 20.0),
            alpha=(1.0, 10.0, 40.0),
            half_life=(3.0, 30.0, NEVER),
            is_graded=(False, True),
            is_binary=(True, False),
        ),
    ),
)
EASE: Final = Peer("EASE", fit_ease, (Ease(), Ease(100.0), Ease(1_000.0)), max_items=17_000)
