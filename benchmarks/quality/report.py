"""The tables: every system with its figures and cost, ours against the best baseline, and the pooled gain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from benchmarks.quality.scores import (
    MIN_CASES,
    SHOWN,
    Draws,
    Gain,
    bootstrap,
    gain_of,
    interval,
    pooled,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.quality.cases import Cases
    from benchmarks.quality.lists import Stored
    from benchmarks.quality.tasks import Task
    from training.metrics import Interval


@dataclass(frozen=True)
class Result:
    """Figures of one system on one task.

    Attributes
    ----------
    values : list of float64 arrays
        One array a metric of the task, one value a case.
    """

    system: str
    values: Sequence[NDArray[np.float64]]
    stored: Stored

    @property
    def mean(self) -> float:
        """Mean of the metric that is judged."""
        return float(self.values[0].mean())


@dataclass(frozen=True)
class Comparison:
    """All systems on one task or slice of it; ``ours`` is None where only baselines were run.

    ``best`` is chosen by the figures of the test, which favours the baselines.
    """

    name: str
    task: Task
    groups: NDArray[np.int64]
    peers: Sequence[Result]
    ours: Result | None
    is_slice: bool = False

    @property
    def best(self) -> Result:
        return max(self.peers, key=lambda result: result.mean)

    @property
    def is_judged(self) -> bool:
        return len(self.groups) >= MIN_CASES and not self.is_slice

    def gain(self, ours: Result) -> tuple[Gain, Draws]:
        """Ours against the best baseline, with the draws behind it."""
        theirs = self.best
        draws = bootstrap(ours.values[0], theirs.values[0], self.groups)
        return gain_of(ours.values[0], theirs.values[0], draws), draws


def compare(task: Task, cases: Cases, stored: Mapping[str, Stored], system: str) -> Iterator[Comparison]:
    """The task; of a session's next items those new in it, in the same lists and where only such are listed."""
    results = _results(task, cases, stored)
    everyone = np.ones(len(cases), np.bool_)
    yield _comparison(task.name, task, cases, results, everyone, system)
    if task.protocol == "next":
        is_new = cases.is_new_in_session()
        yield _comparison("… new in the session", task, cases, results, is_new, system)
        only_new = {name: replace(one, keys=cases.without_session(one.keys)) for name, one in stored.items()}
        results = _results(task, cases, only_new)
        yield _comparison("… what the session holds left out of all lists", task, cases, results, is_new, system)


def _results(task: Task, cases: Cases, stored: Mapping[str, Stored]) -> list[Result]:
    return [
        Result(name, [values_of(one.keys, cases.targets, metric) for metric in task.metrics], one)
        for name, one in stored.items()
    ]


def _comparison(
    name: str, task: Task, cases: Cases, results: Sequence[Result], keep: NDArray[np.bool_], system: str
) -> Comparison:
    kept = [Result(one.system, [values[keep] for values in one.values], one.stored) for one in results]
    ours = next((one for one in kept if one.system == system), None)
    peers = [one for one in kept if one.system != system]
    return Comparison(name, task, cases.queries.customer_idx[keep], peers, ours, is_slice=not keep.all())


def table_of(comparison: Comparison) -> Table:
    """Every system of one task, ours first, then the baselines from the best on."""
    names = [f"{SHOWN[name]}@{n}" for name, n in comparison.task.metrics]
    n = len(comparison.groups)
    costs = ("tune s", "fit s", "ms a list", "peak MiB")
    table = Table("system", *names, *costs, "setting", title=_title(comparison, n))
    ordered = sorted(comparison.peers, key=lambda result: -result.mean)
    for result in [comparison.ours, *ordered] if comparison.ours else ordered:
        cost = result.stored.note.cost
        ms = 1_000 * cost.decide_s / max(1, len(result.stored.keys))
        spent = (
            f"{cost.tune_s:.1f}",
            f"{cost.fit_s:.1f}",
            f"{ms:.2f}",
            f"{cost.peak_mib:.0f}" if cost.peak_mib else "?",
        )
        table.add_row(result.system, *_figures(result, comparison.groups), *spent, _setting(result))
    return table


def _title(comparison: Comparison, n: int) -> str:
    customers = len(np.unique(comparison.groups))
    return f"{comparison.name}: {n:,} cases of {customers:,} customers{'' if comparison.is_judged else ', not judged'}"


def _figures(result: Result, groups: NDArray[np.int64]) -> list[str]:
    shown = []
    for values in result.values:
        draws = bootstrap(values, values, groups)
        shown.append(_text(interval(float(values.mean()), draws.ours)))
    return shown


def _setting(result: Result) -> str:
    return ", ".join(f"{name} {value}" for name, value in result.stored.note.setting.items())


def _text(value: Interval, *, sign: str = "", digits: int = 4) -> str:
    form = f"{sign}.{digits}f"
    return f"{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]"


def summary_of(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """A Markdown table of ours against the best baseline, and the pooled gain below it."""
    yield "| task | cases | metric | Rihla | best baseline | difference | relative, % |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    judged: list[tuple[Gain, Draws]] = []
    for comparison in comparisons:
        if comparison.ours is None:
            continue
        found = comparison.gain(comparison.ours)
        judged += [found] if comparison.is_judged else []
        yield _row(comparison, comparison.ours, found[0])
    if judged:
        mean = pooled([gain for gain, _ in judged], [draws for _, draws in judged])
        yield ""
        yield f"Pooled over {len(judged)} judged tasks: {_percent(mean)} %"


def _row(comparison: Comparison, ours: Result, gain: Gain) -> str:
    name, n = comparison.task.metrics[0]
    note = "" if comparison.is_judged else " (not judged)"
    best = f"{comparison.best.system} {comparison.best.mean:.4f}"
    cells = (f"{comparison.name}{note}", f"{len(comparison.groups):,}", f"{SHOWN[name]}@{n}", f"{ours.mean:.4f}", best)
    return "| " + " | ".join((*cells, _text(gain.absolute, sign="+"), _percent(gain.relative))) + " |"


def _percent(value: Interval) -> str:
    return _text(type(value)(*(100 * number for number in value)), sign="+", digits=1)
