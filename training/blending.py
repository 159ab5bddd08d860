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

from recommender.blend import CONTEXTS, STRANGER, Blend
from training.gains import Said, Targets, mean_ndcg, places, stepped
from training.spread import spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
SILENT: Final = Said(np.empty(0, np.int32), np.empty(0, np.float32))
WORTH: Final = 2e-4
"""Relative gain that a step must bring: less is noise."""
POPULAR_FLOOR: Final = 0.003


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
    said, targets, bounds = Said.by_source(pools.parts), Targets.of(pools), pools.bounds
    for _ in range(n_rounds):
        score = pools.parts @ weights
        place = places(score, bounds, targets.row, targets.bounds)
        before = reached = float(stepped(score, SILENT, STILL, targets, place, bounds)[0])
        for source in np.flatnonzero(speaks).tolist():
            tried = np.array(_tried(weights, source), np.float32)
            values = stepped(score, said[source], tried - weights[source], targets, place, bounds)
            best = int(np.argmax(values))
            if values[best] > reached * (1 + WORTH):
                reached = float(values[best])
                score[said[source].row] += (tried[best] - weights[source]) * said[source].part
                place = places(score, bounds, targets.row, targets.bounds)
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
