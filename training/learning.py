"""What the cases of several cut-offs teach: the blend, the ranker, where it serves, and the common scale.

A lesson is a cut-off: a fit on what came before it, and the candidates of cases that came after. Everything is
learned from lessons in the order of time: the ranker is judged on the last one by a model of those before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.blend import CONTEXTS, TASKS, Blend
from recommender.candidates import Facts
from recommender.contract import best
from recommender.engine import Engine, Model, sources_of
from recommender.items import KINDS, Items
from recommender.scale import SYSTEMS, Scale
from training.blending import learn_blend
from training.fit import fit
from training.gains import ndcg_of
from training.pools import MIN_CASES_EACH, joined, pools_of
from training.ranking import MAX_ROWS, MIN_CASES, Rows, arrays_of, fit_trees, ranked_columns, rows_for
from training.scaling import fit_lines
from training.split import cases_of
from training.spread import spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from features.journey import Journey
    from recommender.contract import FloatMatrix, FloatVector, LongVector
    from recommender.ranker import Ranker
    from training.fit import Fitted, Recipe
    from training.load import Data
    from training.pools import Pools
    from training.ranking import Boosted
    from training.split import Cases

MIN_CELL: Final = 100
"""Cases of a task with or without a running session, below which all cases of the task decide on the ranker."""
MARGIN: Final = 0.5
"""By how many standard errors the ranker must beat the blend to serve."""
N_SHOWN: Final = 20
"""Best candidates of a case that the common scale is fitted on."""
LIFT: Final = np.float32(64)
"""Added to a ranker's scores where only positive ones count as shown."""
MORE_TREES: Final = 1.1
"""Trees of the last ranker, which learns from more cases, over those of the one that was judged."""


class Lesson(NamedTuple):
    """What one cut-off gives to learn from: candidates of its cases by task, with the items they are rows of."""

    pools: Mapping[str, Pools]
    items: Items
    facts: Facts

    def with_past(self) -> Lesson:
        """The lesson of customers of whom something was known: nobody else is ranked by trees."""
        return self._replace(pools={task: pools.with_past() for task, pools in self.pools.items()})


@dataclass(frozen=True)
class Verdict:
    """What the last lesson said of a model of the earlier ones.

    Attributes
    ----------
    serves : bool, shape (2, 2)
        By task and whether a session is running: whether the ranker serves.
    n_trees : int
    line : float32, shape (2, 3, 2)
        The common scale.
    gain : float
        Mean difference of NDCG@10 between ranker and blend over all cases of the task ``any``.
    """

    serves: NDArray[np.bool_]
    n_trees: int
    line: NDArray[np.float32]
    gain: float

    @classmethod
    def none(cls) -> Verdict:
        """Where there is nothing to judge by: the blend serves, with its scores as they are."""
        return cls(np.zeros((len(TASKS), 2), np.bool_), 0, Scale.plain().line, 0.0)


@dataclass(frozen=True)
class Learned:
    """What is decided by learning, for one list of sources: weights, and the arrays of ranker and scale."""

    blend: Blend
    arrays: Fitted
    blind: Fitted


def lesson_of(data: Data, cut: int, end: int, recipe: Recipe, journey: Journey, *, n: int, seed: int) -> Lesson:
    """Fit on what came before ``cut`` and collect the candidates of at most ``n`` cases of ``[cut, end)``."""
    arrays = fit(data.material(cut), recipe)
    sources = sources_of(arrays)
    engine = Engine(arrays, Blend.uniform(sources), journey, Model("lesson", "0", "", cut))
    return lesson_with(engine, arrays, cases_of(data, cut, end, journey.schema, n=n, seed=seed))


def lesson_with(engine: Engine, arrays: Fitted, cases: Cases) -> Lesson:
    """The lesson of some cases and the engine that was fitted on what came before them."""
    pools = {task: pools_of(engine, cases, is_new=task == "new") for task in TASKS}
    return Lesson(pools, engine.items, Facts.of(arrays))


def judge(lessons: Sequence[Lesson], sources: tuple[str, ...], *, seed: int) -> Verdict:
    """Learn from all lessons but the last, and see on the last what serves better."""
    earlier, last = lessons[:-1], lessons[-1].with_past()
    if not earlier or not all(len(pools) for pools in last.pools.values()):
        return Verdict.none()
    blend = learn_blend(sources, _pools_of(earlier, sources), seed=seed)
    later = {task: pools.of_sources(sources) for task, pools in last.pools.items()}
    rows = _rows(earlier, sources, blend, seed=seed)
    scores = {"blend": {task: blended(pools, blend.weights[task]) for task, pools in later.items()}}
    n_trees = 0
    if len(rows.sizes) >= MIN_CASES:
        boosted = fit_trees(rows, sources, seed=seed, later=_rows([last], sources, blend, seed=seed))
        n_trees = boosted.n_trees
        scores["ranker"] = {task: rescored(boosted, last, pools, blend, task) for task, pools in later.items()}
    serves, gain = _compared(later, scores)
    lines = [_line_of(system, last, later["any"], scores) for system in SYSTEMS]
    return Verdict(serves, n_trees, np.stack(lines), gain)


def learn(
    lessons: Sequence[Lesson], sources: tuple[str, ...], verdict: Verdict, *, seed: int, with_blind: bool = True
) -> Learned:
    """Weights and a ranker of every lesson, served as the verdict says; ``with_blind`` one without the stage too."""
    blend = learn_blend(sources, _pools_of(lessons, sources), seed=seed)
    scale: Fitted = {"scale.line": verdict.line}
    if not verdict.serves.any():
        return Learned(blend, scale, scale)
    rows = _rows(lessons, sources, blend, seed=seed)
    n_trees = max(1, round(MORE_TREES * verdict.n_trees))
    made = [
        arrays_of(fit_trees(one, sources, seed=seed, n_trees=n_trees), len(sources), verdict.serves)
        for one in (rows, *([rows.without_stage(sources)] if with_blind else []))
    ]
    return Learned(blend, scale | made[0], scale | made[-1])


def _pools_of(lessons: Sequence[Lesson], sources: tuple[str, ...]) -> dict[str, Pools]:
    return {task: joined([lesson.pools[task] for lesson in lessons], sources) for task in TASKS}


def _rows(lessons: Sequence[Lesson], sources: tuple[str, ...], blend: Blend, *, seed: int) -> Rows:
    asked = [(number, lesson, task) for number, lesson in enumerate(lessons) for task in TASKS]

    def rows_of(part: range) -> list[Rows]:
        return [
            rows_for(
                lesson.pools[task].with_past().of_sources(sources),
                blend.weights[task],
                lesson.items,
                lesson.facts,
                n_rows=MAX_ROWS // len(asked),
                seed=seed + number,
            )
            for number, lesson, task in (asked[i] for i in part)
        ]

    return Rows.joined([rows for part in spread(rows_of, len(asked), least=1) for rows in part])


def blended(pools: Pools, weights: NDArray[np.float32]) -> FloatVector:
    """The blend's score of every row."""
    parts, context = pools.parts, np.repeat(pools.context, np.diff(pools.bounds))
    row = np.repeat(np.arange(len(context)), np.diff(parts.indptr))
    said = weights[context[row], parts.indices] * parts.data
    return np.bincount(row, said, len(context)).astype(np.float32)


def rescored(ranker: Boosted | Ranker, lesson: Lesson, pools: Pools, blend: Blend, task: str) -> FloatVector:
    """The ranker's score of every row that it would rank, lifted above 0; 0 for the others."""
    found, weights = np.zeros(int(pools.bounds[-1]), np.float32), blend.weights[task]

    def described(part: range) -> tuple[LongVector, FloatMatrix]:
        many = [ranked_columns(pools, i, weights[pools.context[i]], lesson.items, lesson.facts) for i in part]
        rows = [pools.bounds[i] + kept for i, (kept, _) in zip(part, many, strict=True)]
        return np.concatenate(rows), np.concatenate([columns for _, columns in many], axis=1)

    for rows, columns in spread(described, len(pools), least=MIN_CASES_EACH) if len(pools) else ():
        found[rows] = LIFT + ranker.score(columns)
    return found


def _compared(
    later: Mapping[str, Pools], scores: Mapping[str, Mapping[str, FloatVector]]
) -> tuple[NDArray[np.bool_], float]:
    serves, gain = np.zeros((len(TASKS), 2), np.bool_), 0.0
    if "ranker" not in scores:
        return serves, gain
    for row, (task, pools) in enumerate(later.items()):
        better = ndcg_of(pools, scores["ranker"][task]) - ndcg_of(pools, scores["blend"][task])
        live = np.array([CONTEXTS[context].endswith("/live") for context in pools.context], np.bool_)
        for column in (0, 1):
            own = live == bool(column)
            cell = better[own] if own.sum() >= MIN_CELL else better
            serves[row, column] = cell.mean() > MARGIN * cell.std() / np.sqrt(max(1, len(cell)))
        gain = float(better.mean()) if task == "any" else gain
    return serves, gain


def _shown(
    lesson: Lesson, pools: Pools, score: FloatVector
) -> tuple[FloatVector, NDArray[np.bool_], NDArray[np.int32]]:
    """Score, whether it was touched, and kind of the best candidates of every case."""
    rows = [
        pools.bounds[case] + best(np.arange(b - a, dtype=np.int32), score[a:b], N_SHOWN).item_idx
        for case, (a, b) in enumerate(zip(pools.bounds[:-1], pools.bounds[1:], strict=True))
    ]
    shown = np.concatenate([np.empty(0, np.int64), *rows])
    kind = lesson.items.kind[pools.item_idx[shown]].astype(np.int32)
    return score[shown], pools.level[shown] > 0, kind


def _line_of(
    system: str, lesson: Lesson, pools: Pools, scores: Mapping[str, Mapping[str, FloatVector]]
) -> NDArray[np.float32]:
    if system not in scores:
        return np.tile(np.array([0, 1], np.float32), (len(KINDS), 1))
    score, is_touched, kind = _shown(lesson, pools, scores[system]["any"])
    return fit_lines(score - LIFT if system == "ranker" else score, is_touched, kind)
