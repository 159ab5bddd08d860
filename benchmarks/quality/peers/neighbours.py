"""Item neighbours: cosine (Sarwar et al. 2001) and RP3beta (Paudel et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse

from benchmarks.quality.events import past_matrix, query_matrix
from benchmarks.quality.peers.base import NEVER, Peer, some_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.quality.events import Past, Queries
    from benchmarks.quality.lists import Model, Scores

BLOCK: Final = 512


class Knn(NamedTuple):
    """``k`` neighbours an item; ``shrink`` in interactions; half-lives in days, of the past and of the query.

    ``with_self`` keeps an item's likeness to itself, so that what one has comes back.
    """

    k: int = 200
    shrink: float = 10.0
    half_life: float = NEVER
    query_half_life: float = NEVER
    is_graded: bool = False
    is_binary: bool = True
    with_self: bool = False


def fit_knn(past: Past, setting: Knn) -> Model:
    """Cosine of item columns with shrinkage; a query adds up the neighbours of its items."""
    matrix = past_matrix(past, setting.half_life, is_graded=setting.is_graded, is_binary=setting.is_binary)
    length = np.sqrt(matrix.power(2).sum(axis=0))
    transposed = matrix.T.tocsr()

    def block(a: int, b: int) -> sparse.csr_array:
        common = (transposed[a:b] @ matrix).tocoo()
        norm = length[a + common.row] * length[common.col] + setting.shrink
        value = common.data / norm * (setting.with_self | (a + common.row != common.col))
        return sparse.coo_array((value, (common.row, common.col)), shape=common.shape).tocsr()

    similar = best_of_rows(block, past.n_items, setting.k)
    return lambda queries: _spread(queries, setting.query_half_life, similar, is_graded=setting.is_graded)


class Rp3beta(NamedTuple):
    """``alpha`` sharpens steps, ``beta`` pushes popular items down; the others as in :class:`Knn`."""

    alpha: float = 0.8
    beta: float = 0.3
    k: int = 500
    half_life: float = NEVER
    query_half_life: float = NEVER
    is_graded: bool = False
    is_binary: bool = True
    with_self: bool = False


def fit_rp3beta(past: Past, setting: Rp3beta) -> Model:
    """Three random steps from the query's items, item to customer to item."""
    matrix = past_matrix(past, setting.half_life, is_graded=setting.is_graded, is_binary=setting.is_binary)
    to_item = _steps(matrix, setting.alpha)
    to_customer = _steps(matrix.T.tocsr(), setting.alpha)
    degree = np.maximum(np.asarray(matrix.sum(axis=0)), 1e-12)
    penalty = degree**-setting.beta

    def block(a: int, b: int) -> sparse.csr_array:
        walked = (to_customer[a:b] @ to_item).tocoo()
        value = walked.data * penalty[walked.col] * (setting.with_self | (a + walked.row != walked.col))
        return sparse.coo_array((value, (walked.row, walked.col)), shape=walked.shape).tocsr()

    similar = best_of_rows(block, past.n_items, setting.k)
    return lambda queries: _spread(queries, setting.query_half_life, similar, is_graded=setting.is_graded)


def _steps(matrix: sparse.csr_array, alpha: float) -> sparse.csr_array:
    total = np.maximum(np.asarray(matrix.sum(axis=1)), 1e-12)
    stepped = sparse.csr_array(sparse.diags_array(1 / total) @ matrix)
    stepped.data **= alpha
    return stepped


def _spread(queries: Queries, half_life: float, similar: sparse.csr_array, *, is_graded: bool) -> Scores:
    asked = query_matrix(queries, half_life, is_graded=is_graded, is_binary=half_life == NEVER and not is_graded)
    return np.asarray((asked @ similar).toarray(), np.float32)


def best_of_rows(block: Callable[[int, int], sparse.csr_array], n: int, k: int) -> sparse.csr_array:
    """The ``k`` largest values of each row of a matrix that is computed in blocks of rows."""
    parts = [_best(block(a, min(n, a + BLOCK)), k) for a in range(0, n, BLOCK)]
    return sparse.csr_array(sparse.vstack(parts, format="csr"), dtype=np.float32)


def _best(rows: sparse.csr_array, k: int) -> sparse.csr_array:
    rows.eliminate_zeros()
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    order = np.lexsort((rows.indices, -rows.data, row))
    place = np.arange(len(order)) - rows.indptr[row]
    chosen = order[place < k]
    return sparse.coo_array((rows.data[chosen], (row[chosen], rows.indices[chosen])), shape=rows.shape).tocsr()


KNN: Final = Peer(
    "item-kNN",
    fit_knn,
    (
        Knn(),
        Knn(shrink=100.0),
        Knn(with_self=True),
        Knn(query_half_life=0.01),
        *some_of(
            Knn(query_half_life=7.0, with_self=True),
            n=8,
            k=(20, 100, 500),
            shrink=(0.0, 10.0, 100.0),
            half_life=(NEVER, 60.0),
            query_half_life=(1.0, 30.0, NEVER),
            is_graded=(False, True),
            is_binary=(True, False),
            with_self=(True, False),
        ),
    ),
)
RP3BETA: Final = Peer(
    "RP3beta",
    fit_rp3beta,
    (
        Rp3beta(),
        Rp3beta(beta=0.0),
        Rp3beta(alpha=1.0, beta=0.0),
        Rp3beta(alpha=0.6, beta=0.1),
        Rp3beta(alpha=0.4, beta=0.0, k=1_000),
        Rp3beta(beta=0.0, query_half_life=7.0, is_binary=False, with_self=True),
        *some_of(
            Rp3beta(beta=0.0, with_self=True),
            n=6,
            alpha=(0.6, 0.8, 1.0),
            beta=(0.0, 0.2, 0.4),
            k=(100, 500),
            half_life=(NEVER, 60.0),
            query_half_life=(1.0, 30.0, NEVER),
            is_graded=(False, True),
            is_binary=(True, False),
            with_self=(True, False),
        ),
    ),
)
