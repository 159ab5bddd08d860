"""Evaluate: the very code that serves, ranked over the full catalogue, beside simple baselines.

The figures are of the bare ranking (no rules), reminders allowed (task ``any``) and of what the customer
had never touched (task ``new``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recommender.blend import TASKS, Blend
from recommender.slate import SlateRequest
from training.metrics import METRICS, Interval, mean_interval
from training.split import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.engine import Engine
    from training.split import Cases

N_RANKED: Final = 20
SYSTEM: Final = "rihla"
BASELINES: Final[Mapping[str, str]] = {
    "decayed popularity": "popular",
    "item-kNN": "cosine",
    "RP3beta": "rp3beta",
    "ALS": "als",
    "own frequency": "frequent",
}
"""Name of a baseline → the source that it is alone. They are fitted and tuned as ours are."""
HISTORY_SIZES: Final = (("0", 0, 0), ("1", 1, 1), ("2-4", 2, 4), ("5+", 5, 1 << 62))


class Row(NamedTuple):
    """One line of an evaluation table.

    ``delta`` is the paired difference to the best baseline of the same slice, by its mean; None for a
    baseline itself.
    """

    task: str
    protocol: str
    slice: str
    system: str
    metric: str
    n_cases: int
    value: Interval
    delta: Interval | None


@dataclass(frozen=True)
class Evaluation:
    """All tables of one test window; ``start`` and ``end`` in microseconds."""

    start: int
    end: int
    rows: tuple[Row, ...]

    def headline(self) -> dict[str, float]:
        """Mean of every metric over all cases of each task and protocol, for the registry."""
        chosen = (row for row in self.rows if row.slice == "all" and row.system == SYSTEM and row.n_cases)
        return {f"{row.task}/{row.protocol}/{row.metric.replace('@', '_at_')}": row.value.mean for row in chosen}


def evaluate(
    engine: Engine, cases: Cases, start: int, end: int, *, progress: Callable[[float], None] | None = None
) -> Evaluation:
    """Tables of one engine on the cases of ``[start, end)``."""
    rows: list[Row] = []
    for number, task in enumerate(TASKS):
        results = _results(engine, cases, is_new=task == "new")
        for name, keep in _slices(engine, cases):
            for protocol, is_it in _protocols(cases):
                rows += _table(results, keep & is_it, task, protocol, name)
        if progress:
            progress((number + 1) / len(TASKS))
    return Evaluation(start, end, tuple(rows))


class _Result(NamedTuple):
    """``value``: metric → one number a case; ``is_case``: cases that have a target."""

    values: Mapping[str, NDArray[np.float64]]
    is_case: NDArray[np.bool_]


def _results(engine: Engine, cases: Cases, *, is_new: bool) -> dict[str, _Result]:
    systems = {SYSTEM: engine}
    for name, source in BASELINES.items():
        if source in engine.sources:
            systems[name] = engine.with_blend(Blend.only(source, engine.sources))
    return {name: _result(system, cases, is_new=is_new) for name, system in systems.items()}


def _result(engine: Engine, cases: Cases, *, is_new: bool) -> _Result:
    request = SlateRequest(limit=N_RANKED, unseen_only=is_new, apply_rules=False)
    hits = np.zeros((len(cases), N_RANKED), np.bool_)
    n_targets = np.zeros(len(cases), np.int64)
    for i in range(len(cases)):
        targets = np.setdiff1d(cases.targets[i], cases.touched[i]) if is_new else cases.targets[i]
        n_targets[i] = len(targets)
        if len(targets):
            slate = engine.decide(cases.states.state(i), request, int(cases.as_of[i]))
            hits[i, : len(slate.items)] = np.isin([item.item_key for item in slate.items], targets)
    return _Result({name: metric(hits, n_targets) for name, metric in METRICS.items()}, n_targets > 0)


def _slices(engine: Engine, cases: Cases) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "all", np.ones(len(cases), np.bool_)
    stage = np.array(
        [engine.journey.stage_of(cases.states.state(i), int(cases.as_of[i])).stage for i in range(len(cases))]
    )
    for name in ("awareness", "engagement", "transaction", "retention"):
        yield f"stage: {name}", stage == name
    n_events = cases.states.total("n_touch")
    for name, low, high in HISTORY_SIZES:
        yield f"history: {name}", (n_events >= low) & (n_events <= high)


def _protocols(cases: Cases) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for code, name in enumerate(PROTOCOLS):
        yield name, cases.protocol == code


def _table(
    results: Mapping[str, _Result], keep: NDArray[np.bool_], task: str, protocol: str, name: str
) -> Sequence[Row]:
    rows = []
    for metric in METRICS:
        kept = {system: result.values[metric][keep & result.is_case] for system, result in results.items()}
        baselines = {system: values for system, values in kept.items() if system != SYSTEM}
        best = max(baselines.values(), key=lambda values: float(values.sum()), default=None)
        for system, values in kept.items():
            delta = None if best is None or system != SYSTEM else mean_interval(values - best)
            rows.append(Row(task, protocol, name, system, metric, len(values), mean_interval(values), delta))
    return rows
