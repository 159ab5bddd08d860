"""Learning the blend: weights on the simplex that rank the validation cases best, shrunk where data is thin.

For each task the global weights are found first, by random search and then by ever smaller steps around
the best; each context starts from them and moves as far as its own cases carry it:
``w = (n w_context + kappa w_global) / (n + kappa)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from recommender.blend import CONTEXTS, TASKS, Blend, Pool
from recommender.slate import SlateRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.contract import FloatMatrix, FloatVector, IntVector
    from recommender.engine import Engine
    from training.split import Cases

CUT: Final = 10
KAPPA: Final = 150.0
MIN_CASES: Final = 30
N_RANDOM: Final = 80
N_STEPS: Final = 120
N_CONTEXT_STEPS: Final = 60
POPULAR_FLOOR: Final = 0.003


@dataclass(frozen=True)
class Sample:
    """Candidates of many cases with their labels, padded to one width.

    Attributes
    ----------
    parts : float32, shape (n_cases, width, n_sources)
    is_target : bool, shape (n_cases, width)
    ideal : float64, shape (n_cases,)
        Ideal discounted gain of each case, over all its targets, proposed or not.
    context : int32, shape (n_cases,)
        Row of ``CONTEXTS``.
    """

    parts: NDArray[np.float32]
    is_target: NDArray[np.bool_]
    ideal: NDArray[np.float64]
    context: IntVector

    def __len__(self) -> int:
        return len(self.ideal)

    def of_context(self, context: int) -> Sample:
        """Cases of one context."""
        keep = self.context == context
        return Sample(self.parts[keep], self.is_target[keep], self.ideal[keep], self.context[keep])

    def and_(self, other: Sample) -> Sample:
        """Cases of both."""
        width = max(self.parts.shape[1], other.parts.shape[1])
        mine, theirs = self._padded(width), other._padded(width)
        columns = ("parts", "is_target", "ideal", "context")
        return Sample(*(np.concatenate([getattr(mine, name), getattr(theirs, name)]) for name in columns))

    def ndcg(self, weights: FloatVector) -> float:
        """Mean NDCG@10 under some weights; 0 without cases."""
        if not len(self):
            return 0.0
        score = self.parts @ weights
        n = min(CUT, score.shape[1])
        top = np.argpartition(-score, n - 1, axis=1)[:, :n]
        rows = np.arange(len(score))[:, None]
        order = np.argsort(-score[rows, top], axis=1, kind="stable")
        ranked = top[rows, order]
        hits = self.is_target[rows, ranked] & (score[rows, ranked] > 0)
        gain = hits @ (1 / np.log2(np.arange(2, n + 2)))
        return float((gain / self.ideal).mean())

    def _padded(self, width: int) -> Sample:
        more = width - self.parts.shape[1]
        parts = np.pad(self.parts, ((0, 0), (0, more), (0, 0)))
        return replace(self, parts=parts, is_target=np.pad(self.is_target, ((0, 0), (0, more))))


def samples_of(engine: Engine, cases: Cases) -> dict[str, Sample]:
    """Pools of all cases under each task, with the targets marked; cases without a target are left out."""
    return {task: _sample(engine, cases, is_new=task == "new") for task in TASKS}


def learn_blend(sources: tuple[str, ...], samples: Mapping[str, Sample], *, seed: int) -> Blend:
    """Weights of every task and context, shape (n_contexts, n_sources) a task; prior ones where no source spoke."""
    rng = np.random.default_rng(seed)
    prior = Blend.prior(sources).weights
    return Blend(
        sources,
        {
            task: _open_to_all(_weights(samples[task], len(sources), rng), sources)
            if samples[task].parts.any()
            else prior[task]
            for task in TASKS
        },
        {task: np.bincount(samples[task].context, minlength=len(CONTEXTS)).tolist() for task in TASKS},
    )


def _open_to_all(weights: FloatMatrix, sources: tuple[str, ...]) -> FloatMatrix:
    """The same weights with popularity never at nothing: it is all that a customer without a past can be shown."""
    floored: FloatMatrix = weights.copy()
    floored[:, [source == "popular" for source in sources]] += POPULAR_FLOOR
    shares: FloatMatrix = (floored / floored.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _sample(engine: Engine, cases: Cases, *, is_new: bool) -> Sample:
    request = SlateRequest(unseen_only=is_new, apply_rules=False)
    pools: list[Pool] = []
    labels: list[NDArray[np.bool_]] = []
    ideal: list[float] = []
    context: list[int] = []
    for i in range(len(cases)):
        targets = np.setdiff1d(cases.targets[i], cases.touched[i]) if is_new else cases.targets[i]
        if not len(targets) or not len(cases.touched[i]):
            continue
        pool, name = engine.pool(cases.states.state(i), request, int(cases.as_of[i]))
        pools.append(pool)
        labels.append(np.isin(engine.items.item_key[pool.item_idx], targets))
        ideal.append(float((1 / np.log2(np.arange(2, min(CUT, len(targets)) + 2))).sum()))
        context.append(CONTEXTS.index(name))
    return _stacked(pools, labels, ideal, context, len(engine.sources))


def _stacked(
    pools: Sequence[Pool], labels: Sequence[NDArray[np.bool_]], ideal: list[float], context: list[int], n_sources: int
) -> Sample:
    width = max((len(pool.item_idx) for pool in pools), default=1)
    parts = np.zeros((len(pools), max(1, width), n_sources), np.float32)
    is_target = np.zeros(parts.shape[:2], np.bool_)
    for row, (pool, label) in enumerate(zip(pools, labels, strict=True)):
        parts[row, : len(label)] = pool.parts
        is_target[row, : len(label)] = label
    return Sample(parts, is_target, np.array(ideal), np.array(context, np.int32))


def _weights(sample: Sample, n_sources: int, rng: np.random.Generator) -> FloatMatrix:
    # A source that proposed nothing (one's own items, where only new ones count) gets no weight.
    speaks = sample.parts.any(axis=(0, 1))
    starts = [start for w in _starts(n_sources, rng) if (start := w * speaks).sum() > 0]
    everywhere = _search(sample, [start / start.sum() for start in starts], N_STEPS, rng)
    rows = np.tile(everywhere, (len(CONTEXTS), 1))
    for context in range(len(CONTEXTS)):
        own = sample.of_context(context)
        if len(own) >= MIN_CASES and own.parts.any():
            found = _search(own, [everywhere], N_CONTEXT_STEPS, rng)
            rows[context] = (len(own) * found + KAPPA * everywhere) / (len(own) + KAPPA)
    return rows.astype(np.float32)


def _starts(n_sources: int, rng: np.random.Generator) -> list[FloatVector]:
    uniform = np.full(n_sources, 1 / n_sources, np.float32)
    drawn = rng.dirichlet(np.full(n_sources, 0.4), N_RANDOM).astype(np.float32)
    return [uniform, *np.eye(n_sources, dtype=np.float32), *drawn]


def _search(sample: Sample, starts: Sequence[FloatVector], n_steps: int, rng: np.random.Generator) -> FloatVector:
    """Best of the starts, then of ever smaller multiplicative steps around the best so far."""
    speaks = sample.parts.any(axis=(0, 1))
    best = max(starts, key=sample.ndcg)
    value = sample.ndcg(best)
    for step in range(n_steps):
        spread = 1.5 * (1 - step / n_steps) + 0.1
        moved = (
            (best + 0.01 / len(best))
            * speaks
            * np.exp(rng.normal(0, spread, len(best)) * (rng.random(len(best)) < 0.5))
        )
        moved = (moved / moved.sum()).astype(np.float32)
        reached = sample.ndcg(moved)
        if reached > value:
            best, value = moved, reached
    return best
