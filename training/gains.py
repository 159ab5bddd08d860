"""NDCG@10 of many cases at once, and how it changes with one source's weight: what blends climb on.

Of hundreds of candidates of a case one or two are targets, so a ranking is never made: the place of a target is how
many candidates score higher. A source speaks of few of them; where it is silent nothing moves.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import types

from recommender.kernels import COUNT, FLOATS, INTS, LONGS, compiled, read_only
from training.pools import CUT, DISCOUNT

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

    from recommender.contract import FloatVector, IntVector, LongVector
    from training.pools import Pools

    Doubles = NDArray[np.float64]

_DOUBLES = read_only(types.float64)


class Targets(NamedTuple):
    """What is wanted among the rows of some pools.

    Attributes
    ----------
    row : int64, shape (n_targets,)
        Ascending.
    bounds : int64, shape (n_cases + 1,)
        Targets of each case.
    share : float32, shape (n_targets,)
        Gain over the case's ideal.
    """

    row: LongVector
    bounds: LongVector
    share: FloatVector

    @classmethod
    def of(cls, pools: Pools) -> Targets:
        """The targets of all cases."""
        share = (pools.gain / np.repeat(pools.ideal, np.diff(pools.bounds))).astype(np.float32)
        row = np.flatnonzero(share > 0)
        return cls(row, np.searchsorted(row, pools.bounds).astype(np.int64), share[row])


class Said(NamedTuple):
    """What one source says: of which rows, ascending, and what; nothing of the others."""

    row: IntVector
    part: FloatVector

    @classmethod
    def by_source(cls, parts: sparse.csr_array) -> list[Said]:
        """What each source says, from shape (n_rows, n_sources)."""
        columns = parts.tocsc()
        ends = columns.indptr.tolist()
        return [cls(columns.indices[start:end], columns.data[start:end]) for start, end in itertools.pairwise(ends)]


def mean_ndcg(pools: Pools, weights: FloatVector) -> float:
    """Mean NDCG@10 of the cases under some weights; 0 without cases."""
    return float(ndcg_of(pools, pools.parts @ weights).mean()) if len(pools) else 0.0


def ndcg_of(pools: Pools, score: FloatVector) -> Doubles:
    """NDCG@10 of each case under a score of each row, shape (n_cases,); what scores nothing is not shown."""
    return discounted(np.ascontiguousarray(score, np.float32), pools.gain, pools.bounds, DISCOUNT) / pools.ideal


@compiled(COUNT(FLOATS, COUNT, types.float32, COUNT))
def ahead_of(score: FloatVector, row: int, value: np.float32, enough: int) -> int:
    """How many of a case's rows score higher than ``value``, or as high and come before ``row``.

    Where ``enough`` do, no more need be counted. Counted without a branch, in two slices whose indices cannot be
    negative: all that lets it be done by SIMD.
    """
    before, after = score[:row], score[row + 1 :]
    n = 0
    for other in range(len(before)):
        n += before[other] >= value
    if n < enough:
        for other in range(len(after)):
            n += after[other] > value
    return n


@compiled(types.float64[::1](FLOATS, FLOATS, LONGS, _DOUBLES))
def discounted(score: FloatVector, gain: FloatVector, bounds: LongVector, discount: Doubles) -> Doubles:
    """Discounted gain of each case, shape (n_cases,); of equal scores the first comes first."""
    found = np.zeros(len(bounds) - 1, np.float64)
    for case in range(len(found)):
        start, end = bounds[case], bounds[case + 1]
        for row in range(start, end):
            if gain[row] > 0 and score[row] > 0:
                place = ahead_of(score[start:end], row - start, score[row], len(discount))
                if place < len(discount):
                    found[case] += gain[row] * discount[place]
    return found


@compiled(types.int64[::1](FLOATS, LONGS, LONGS, LONGS))
def places(score: FloatVector, bounds: LongVector, row: LongVector, ends: LongVector) -> LongVector:
    """Place of each target in its case, from 0: ``bounds`` are of rows, ``row`` and ``ends`` of :class:`Targets`."""
    found = np.empty(len(row), np.int64)
    for case in range(len(bounds) - 1):
        start, end = bounds[case], bounds[case + 1]
        for target in range(ends[case], ends[case + 1]):
            found[target] = ahead_of(score[start:end], row[target] - start, score[row[target]], end)
    return found


def stepped(
    score: FloatVector, said: Said, steps: FloatVector, targets: Targets, place: LongVector, bounds: LongVector
) -> Doubles:
    """Mean NDCG@10 of all cases for each of some steps, shape (n_steps,): rows are scored ``score + step * part``.

    Parameters
    ----------
    place : int64, shape (n_targets,)
        As :func:`places` found it for ``score``.
    bounds : int64, shape (n_cases + 1,)
        Rows of each case.
    """
    return _stepped(score, said.row, said.part, steps, targets.row, targets.bounds, targets.share, place, bounds)


@compiled(types.float64[::1](FLOATS, INTS, FLOATS, FLOATS, LONGS, LONGS, FLOATS, LONGS, LONGS))
def _stepped(  # noqa: PLR0913, PLR0917 - compiled loops take arrays only
    score: FloatVector,
    said_row: IntVector,
    part: FloatVector,
    steps: FloatVector,
    target_row: LongVector,
    target_ends: LongVector,
    share: FloatVector,
    place: LongVector,
    bounds: LongVector,
) -> Doubles:
    n_cases = len(bounds) - 1
    mean, longest = np.zeros(len(steps)), np.int64(0)
    for case in range(n_cases):
        longest = max(longest, bounds[case + 1] - bounds[case])
    room, said_end = np.empty(longest, np.float32), 0
    for case in range(n_cases):
        start, end, said_start = bounds[case], bounds[case + 1], said_end
        while said_end < len(said_row) and said_row[said_end] < end:
            said_end += 1
        n_said, before, after = said_end - said_start, score[start:end], room[: end - start]
        after[:] = before
        for number in range(len(steps)):
            for said in range(said_start, said_end):
                row = said_row[said] - start
                after[row] = before[row] + steps[number] * part[said]
            for target in range(target_ends[case], target_ends[case + 1]):
                row, found = target_row[target] - start, place[target]
                if after[row] <= 0 or (after[row] == before[row] and found - n_said >= CUT):
                    continue  # whoever has not moved rises by no more places than others have moved
                if n_said > 0:
                    found = ahead_of(after, row, after[row], CUT)
                if found < CUT:
                    mean[number] += share[target] / np.log2(found + 2.0)
    return mean / max(1, n_cases)
