"""Learning the blend: weights on the simplex that rank the cases best, shrunk where data is thin.

For each task the global weights are found first, by going through the sources one at a time from several of the
best starts, each time on cases of its own. What does as well as the best on all cases is averaged: one climb ends where
it happens to, and its end fits the cases that it was made on. Each context starts from the global weights and moves as
far as its own cases carry it: ``w = (n w_context + kappa w_global) / (n + kappa)``. Strangers are a context of their
own, in which what has something for them is divided as they want it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import types

from recommender.blend import CONTEXTS, STRANGER, Blend
from recommender.kernels import FLOATS, LONGS, compiled, read_only
from training.pools import CUT, DISCOUNT
from training.spread import spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector, LongVector
    from training.pools import Pools

KAPPA: Final = 150.0
N_FOLDS: Final = 4
"""As many as there are lessons where the data is long enough."""
MIN_CASES: Final = 30
MAX_CASES: Final = 3_000
"""More cases than this change the weights less than the drawing of the cases does."""
N_STARTS: Final = 24
N_CLIMBS: Final = 6
N_ROUNDS: Final = 4
APART: Final = 0.3
"""Least distance (L1) between the starts of two climbs."""
NEAR: Final = 0.005
"""Relative loss to the best climb at which another one still counts as as good."""
POWERS: Final = (5.0, 10.0, 20.0, 40.0)
"""Of how well sources rank alone: starts near the best of them, which share the weight."""
N_CONTEXT_ROUNDS: Final = 2
FACTORS: Final = (0.0, 0.4, 0.7, 1.4, 2.5)
"""What a source's weight is tried times."""
NEW_WEIGHTS: Final = (0.02, 0.1)
"""What the weight of a source that has none is tried at, of all."""
MAX_START_CASES: Final = 1_000
MIN_SPREAD: Final = 300
"""Cases from which on climbs are made by several processes."""
STILL: Final = np.zeros(1, np.float32)
WORTH: Final = 2e-4
"""Relative gain that a step must bring: less is noise."""
POPULAR_FLOOR: Final = 0.003
BLOCK: Final = 32
"""Rows that are counted before it is asked whether that is enough."""
_DOUBLES: Final = read_only(types.float64)


def learn_blend(sources: tuple[str, ...], pools: Mapping[str, Pools], *, seed: int) -> Blend:
    """Weights of every task and context, shape (n_contexts, n_sources) a task; prior ones where no source spoke."""
    rng = np.random.default_rng(seed)
    prior = Blend.prior(sources).weights
    return Blend(
        sources,
        {
            task: _open_to_all(_weights(cases, prior[task][0], rng), sources) if cases.speaks.any() else prior[task]
            for task, cases in pools.items()
        },
        {task: np.bincount(cases.context, minlength=len(CONTEXTS)).tolist() for task, cases in pools.items()},
    )


def refined(blend: Blend, pools: Mapping[str, Pools], *, seed: int) -> Blend:
    """The same blend with each context climbed once more, from its own weights, on cases of the blend's sources.

    What a source is worth is told by two such climbs from one blend, with the source and without it: two blends learned
    from the beginning end further apart than that.
    """
    rng = np.random.default_rng(seed)
    weights = {}
    for task, cases in pools.items():
        rows = blend.weights[task].copy()
        for context in np.unique(cases.context).tolist():
            mine = cases.take(np.flatnonzero(cases.context == context))
            if len(mine) >= MIN_CASES and mine.speaks.any():
                found = _climbed(_some(mine, rng), rows[context], N_ROUNDS)
                rows[context] = (len(mine) * found + KAPPA * rows[context]) / (len(mine) + KAPPA)
        weights[task] = rows.astype(np.float32)
    return Blend(blend.sources, weights, blend.n_cases)


def mean_ndcg(pools: Pools, weights: FloatVector) -> float:
    """Mean NDCG@10 of the cases under some weights; 0 without cases."""
    return float(ndcg_of(pools, pools.parts @ weights).mean()) if len(pools) else 0.0


def ndcg_of(pools: Pools, score: FloatVector) -> NDArray[np.float64]:
    """NDCG@10 of each case under a score of each row, shape (n_cases,); what scores nothing is not shown."""
    return discounted(np.ascontiguousarray(score, np.float32), pools.gain, pools.bounds, DISCOUNT) / pools.ideal


@compiled(types.float64[::1](FLOATS, FLOATS, LONGS, _DOUBLES))
def discounted(
    score: FloatVector, gain: FloatVector, bounds: LongVector, discount: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Discounted gain of each case: the place of each target is how many score higher, or as high and come first."""
    found = np.zeros(len(bounds) - 1, np.float64)
    for case in range(len(found)):
        for row in range(bounds[case], bounds[case + 1]):
            if gain[row] <= 0 or score[row] <= 0:
                continue
            place = 0
            for other in range(bounds[case], bounds[case + 1]):
                if score[other] > score[row] or (score[other] == score[row] and other < row):
                    place += 1
                    if place == len(discount):
                        break
            if place < len(discount):
                found[case] += gain[row] * discount[place]
    return found


@compiled(types.int64(FLOATS, FLOATS, types.float32, types.int64, types.int64, types.int64))
def place_of(score: FloatVector, part: FloatVector, step: np.float32, row: int, start: int, end: int) -> int:
    """How many rows of ``[start, end)`` score higher than one, or as high and come first; ``CUT`` or more says enough.

    Rows are scored ``score + step * part``. A block is counted without a branch, for SIMD; most rows are known to be
    too far down after one or two.
    """
    value, place = score[row] + step * part[row], 0
    for block in range(start, row, BLOCK):
        for other in range(block, min(block + BLOCK, row)):
            place += score[other] + step * part[other] >= value
        if place >= CUT:
            return place
    for block in range(row + 1, end, BLOCK):
        for other in range(block, min(block + BLOCK, end)):
            place += score[other] + step * part[other] > value
        if place >= CUT:
            return place
    return place


@compiled(types.float64[::1](FLOATS, FLOATS, FLOATS, FLOATS, LONGS))
def stepped(
    score: FloatVector, part: FloatVector, steps: FloatVector, share: FloatVector, bounds: LongVector
) -> NDArray[np.float64]:
    """Mean NDCG@10 of all cases for each of some steps, shape (n_steps,): rows are scored ``score + step * part``.

    Parameters
    ----------
    share : float32, shape (n_rows,)
        Gain of a row over its case's ideal.

    Notes
    -----
    As :func:`discounted`, without a score of each step in memory.
    """
    n_cases = len(bounds) - 1
    mean = np.zeros(len(steps))
    for case in range(n_cases):
        start, end = bounds[case], bounds[case + 1]
        for row in range(start, end):
            if share[row] <= 0:
                continue
            for number in range(len(steps)):
                step = steps[number]
                if score[row] + step * part[row] <= 0:
                    continue
                place = place_of(score, part, step, row, start, end)
                if place < CUT:
                    mean[number] += share[row] / np.log2(place + 2.0)
    return mean / max(1, n_cases)


def _open_to_all(weights: FloatMatrix, sources: tuple[str, ...]) -> FloatMatrix:
    """The same weights with popularity never at nothing: where all else is silent there is something to show."""
    floored: FloatMatrix = weights.copy()
    floored[:, [source == "popular" for source in sources]] += POPULAR_FLOOR
    shares: FloatMatrix = (floored / floored.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _weights(pools: Pools, prior: FloatVector, rng: np.random.Generator) -> FloatMatrix:
    is_stranger = pools.context == CONTEXTS.index(STRANGER)
    known, strangers = pools.take(np.flatnonzero(~is_stranger)), pools.take(np.flatnonzero(is_stranger))
    everywhere = _mean_of_climbs(known if known.speaks.any() else pools, prior, rng)
    rows = np.tile(everywhere, (len(CONTEXTS), 1))
    for context in np.unique(known.context).tolist():
        mine = known.take(np.flatnonzero(known.context == context))
        if len(mine) >= MIN_CASES and mine.speaks.any():
            found = _climbed(_some(mine, rng), everywhere, N_CONTEXT_ROUNDS)
            rows[context] = (len(mine) * found + KAPPA * everywhere) / (len(mine) + KAPPA)
    if len(strangers) >= MIN_CASES and strangers.speaks.any():
        rows[-1] = _for_strangers(everywhere, strangers, prior, rng)
    return rows.astype(np.float32)


def _for_strangers(
    everywhere: FloatVector, strangers: Pools, prior: FloatVector, rng: np.random.Generator
) -> FloatVector:
    """Weights of everybody else with another division among the sources that have something for strangers.

    What is silent keeps its weight: a search speaks for itself.
    """
    division, speaks = _division(strangers, prior, rng), strangers.speaks
    weights = everywhere.copy()
    weights[speaks] = max(float(everywhere[speaks].sum()), POPULAR_FLOOR) * division[speaks]
    return weights


def _division(strangers: Pools, prior: FloatVector, rng: np.random.Generator) -> FloatVector:
    """What climbs end at where that does better later than popularity alone; else popularity.

    Strangers all see nearly the same, so that a few items that came to be wanted decide. Hence folds in the order of
    time, each judged by what the others teach, and their gains against their own spread.
    """
    popular = np.array([source == "popular" for source in strangers.sources], np.float32)
    whole = _mean_of_climbs(strangers, prior, rng)
    if not (strangers.parts @ popular).any():
        return whole
    every, gains = np.arange(len(strangers)), []
    for fold in np.array_split(every, N_FOLDS):
        own, others = strangers.take(fold), strangers.take(np.setdiff1d(every, fold))
        mixed = _mean_of_climbs(others, prior, rng) if others.speaks.any() else popular
        gains.append(mean_ndcg(own, mixed) - mean_ndcg(own, popular))
    return whole if np.mean(gains) > np.std(gains, ddof=1) / np.sqrt(N_FOLDS) else popular


def _mean_of_climbs(pools: Pools, prior: FloatVector, rng: np.random.Generator) -> FloatVector:
    """The mean of what some climbs end at, of those that are as good as the best."""
    few = pools.take(np.sort(rng.permutation(len(pools))[:MAX_START_CASES]))
    starts = _usable([*_by_strength(few), *_starts(prior, rng)], pools)
    best = sorted(starts, key=lambda start: -mean_ndcg(few, start))
    apart: list[FloatVector] = []
    for start in best:
        if len(apart) < N_CLIMBS and all(np.abs(start - other).sum() > APART for other in apart):
            apart.append(start)
    found = _climbed_apart(pools, apart, rng)
    reached = [mean_ndcg(pools, weights) for weights in found]
    good = [weights for weights, value in zip(found, reached, strict=True) if value >= max(reached) * (1 - NEAR)]
    mean: FloatVector = np.mean(good, axis=0, dtype=np.float32)
    return mean


def _climbed_apart(pools: Pools, starts: Sequence[FloatVector], rng: np.random.Generator) -> list[FloatVector]:
    """Where climbs from some starts end, each on cases of its own."""
    drawn = [_drawn(len(pools), rng) for _ in starts]

    def climbed(part: range) -> list[FloatVector]:
        return [_climbed(pools if (rows := drawn[i]) is None else pools.take(rows), starts[i], N_ROUNDS) for i in part]

    least = 1 if len(pools) >= MIN_SPREAD else len(starts)
    return [weights for part in spread(climbed, len(starts), least=least) for weights in part]


def _some(pools: Pools, rng: np.random.Generator) -> Pools:
    drawn = _drawn(len(pools), rng)
    return pools if drawn is None else pools.take(drawn)


def _drawn(n: int, rng: np.random.Generator) -> LongVector | None:
    """Cases to climb on, ascending; None for all."""
    return np.sort(rng.choice(n, MAX_CASES, replace=False)) if n > MAX_CASES else None


def _starts(prior: FloatVector, rng: np.random.Generator) -> list[FloatVector]:
    n = len(prior)
    drawn = rng.dirichlet(np.full(n, 0.4), N_STARTS).astype(np.float32)
    return [prior, np.full(n, 1 / n, np.float32), *np.eye(n, dtype=np.float32), *drawn]


def _by_strength(pools: Pools) -> list[FloatVector]:
    """Weights by how well each source ranks alone, to several powers."""
    alone = np.array([mean_ndcg(pools, one) for one in np.eye(len(pools.sources), dtype=np.float32)], np.float32)
    return [(alone / alone.max()) ** np.float32(power) for power in POWERS] if alone.any() else []


def _usable(starts: Sequence[FloatVector], pools: Pools) -> list[FloatVector]:
    """Starts that sum to one, less what proposed nothing (one's own items, where only new ones count)."""
    speaks = pools.speaks
    spoken: list[FloatVector] = [start * speaks for start in starts]
    return [start / start.sum() for start in spoken if start.sum() > 0]


def _climbed(pools: Pools, start: FloatVector, n_rounds: int) -> FloatVector:
    """From a start one source at a time, each at several weights, while anything is gained."""
    speaks = pools.speaks
    spoken: FloatVector = start * speaks
    weights: FloatVector = spoken / spoken.sum() if spoken.any() else start.copy()
    columns = pools.parts.toarray(order="F")
    share = (pools.gain / np.repeat(pools.ideal, np.diff(pools.bounds))).astype(np.float32)
    for _ in range(n_rounds):
        score = pools.parts @ weights
        before = reached = float(stepped(score, score, STILL, share, pools.bounds)[0])
        for source in np.flatnonzero(speaks).tolist():
            part, tried = columns[:, source], np.array(_tried(weights, source), np.float32)
            values = stepped(score, part, tried - weights[source], share, pools.bounds)
            best = int(np.argmax(values))
            if values[best] > reached * (1 + WORTH):
                reached = float(values[best])
                score += (tried[best] - weights[source]) * part
                weights[source] = tried[best]
        weights = weights / weights.sum()
        if reached <= before * (1 + WORTH):
            break
    return weights


def _tried(weights: FloatVector, source: int) -> list[np.float32]:
    now = weights[source]
    if now > 0:
        others = weights.sum() - now
        return [np.float32(now * factor) for factor in FACTORS if factor > 0 or others > 0]
    return [np.float32(share * weights.sum()) for share in NEW_WEIGHTS]
