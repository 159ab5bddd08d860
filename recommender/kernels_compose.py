"""The compiled loop behind :func:`recommender.compose.mixed`: kinds take turns by their shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import types

from recommender.kernels import BYTES, COUNT, INTS, OUT_INTS, compiled, read_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recommender.kernels import IntVector

REALS = read_only(types.float64)


@compiled(OUT_INTS(REALS, INTS, COUNT))
def best_places(score: NDArray[np.float64], item_idx: IntVector, n: int) -> IntVector:
    """Positions of the ``n`` best by score and then by item; a score that is no number comes last.

    Only what reaches the ``n``-th greatest score is sorted.
    """
    places, bound = np.arange(len(score)), -np.inf
    if 0 < n < len(score):
        bound = -np.partition(-score, n - 1)[n - 1]
    if bound > -np.inf:
        places = np.flatnonzero(score >= bound)
    places = places[np.argsort(item_idx[places], kind="mergesort")]
    return places[np.argsort(-score[places], kind="mergesort")][:n].astype(np.int32)


@compiled(OUT_INTS(REALS, INTS, BYTES, REALS, COUNT))
def mixed_places(
    score: NDArray[np.float64], item_idx: IntVector, kind: NDArray[np.uint8], shares: NDArray[np.float64], limit: int
) -> IntVector:
    """Positions of ``limit`` candidates; at every rank the kind furthest behind its share gives its best one left.

    Parameters
    ----------
    shares : float64, shape (n_kinds,)
    """
    n_kinds = len(shares)
    queue, length = np.empty((n_kinds, min(limit, len(score))), np.int32), np.zeros(n_kinds, np.int64)
    for k in range(n_kinds):
        of_kind = np.flatnonzero(kind == k)
        found = of_kind[best_places(score[of_kind], item_idx[of_kind], limit)]
        length[k] = len(found)
        queue[k, : len(found)] = found
    taken = np.zeros(n_kinds, np.int64)
    chosen, n = np.empty(min(limit, length.sum()), np.int32), 0
    while n < len(chosen):
        next_kind, most = -1, -np.inf
        for k in range(n_kinds):
            # Largest remainder: what the share promises up to the next rank, less what was given.
            behind = shares[k] * (n + 1) - taken[k]
            is_more = behind > most or (behind == most and shares[k] > shares[next_kind])
            if taken[k] < length[k] and is_more:
                next_kind, most = k, behind
        chosen[n] = queue[next_kind, taken[next_kind]]
        taken[next_kind] += 1
        n += 1
    return chosen
