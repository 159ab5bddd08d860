"""From what every case gave to tables: origins joined, means, and intervals over customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training.beyond import Beyond
from training.evaluation import BeyondRow, Evaluation, Origin, Row
from training.judging import BASELINES, SYSTEM, TWIN
from training.metrics import METRICS, mean_intervals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Key = tuple[str, str, str]
"""Task, protocol, segment."""
Column = tuple[str, str]
"""System, metric."""


class Scores(NamedTuple):
    """Values of the cases of one segment: float64, shape (n, n_columns), and whose each is, shape (n,)."""

    values: NDArray[np.float64]
    customer: NDArray[np.str_]


@dataclass(frozen=True)
class Judged:
    """What one engine did on the cases after one origin, before anything is averaged."""

    origin: Origin
    columns: tuple[Column, ...]
    scores: Mapping[Key, Scores]
    beyond: tuple[BeyondRow, ...]


def pooled(judged: Sequence[Judged]) -> Evaluation:
    """One evaluation over all origins; systems that are not there at every origin are left out."""
    columns = [column for column in judged[0].columns if all(column in one.columns for one in judged)]
    rows = [row for key in judged[0].scores for row in _table(key, columns, _joined(judged, key, columns))]
    origins = tuple(one.origin for one in judged)
    return Evaluation(origins[0].start, origins[-1].end, tuple(rows), _mean_beyond(judged), origins)


def _joined(judged: Sequence[Judged], key: Key, columns: Sequence[Column]) -> Scores:
    """Values of one segment over all origins, in the order of ``columns``."""
    values = [one.scores[key].values[:, [one.columns.index(column) for column in columns]] for one in judged]
    return Scores(np.concatenate(values), np.concatenate([one.scores[key].customer for one in judged]))


def _table(key: Key, columns: Sequence[Column], scores: Scores) -> Iterator[Row]:
    """Rows of one segment; differences are paired with the values, and drawn with them."""
    _, customer = np.unique(scores.customer, return_inverse=True)
    values, best = scores.values, _best(scores.values, columns)
    own = {metric: columns.index((SYSTEM, metric)) for metric in METRICS}
    deltas = [values[:, own[m]] - (values[:, columns.index((best[m], m))] if m in best else np.nan) for m in METRICS]
    gains = [values[:, own[m]] - values[:, columns.index((TWIN, m))] for m in METRICS]
    found = mean_intervals(np.column_stack([values, *deltas, *gains]), customer)
    n_cases, n_customers = len(values), len(np.unique(customer))
    delta = dict(zip(METRICS, found[len(columns) :], strict=False))
    gain = dict(zip(METRICS, found[len(columns) + len(METRICS) :], strict=True))
    for (system, metric), value in zip(columns, found, strict=False):
        row = Row(*key, system, metric, n_cases, n_customers, value)
        if system == SYSTEM:
            row = row._replace(
                delta=delta[metric] if metric in best else None, best=best.get(metric, ""), stage_gain=gain[metric]
            )
        yield row


def _best(values: NDArray[np.float64], columns: Sequence[Column]) -> dict[str, str]:
    """The baseline of the greatest mean by metric; the first of equals."""
    best: dict[str, str] = {}
    for metric in METRICS:
        sums = {system: values[:, at].sum() for at, (system, m) in enumerate(columns) if m == metric}
        baselines = [system for system in sums if system in BASELINES]
        if baselines:
            best[metric] = max(baselines, key=sums.__getitem__)
    return best


def _mean_beyond(judged: Sequence[Judged]) -> tuple[BeyondRow, ...]:
    """Means over the origins, each counting as many times as it has cases."""
    rows: dict[tuple[str, ...], list[BeyondRow]] = {}
    for one in judged:
        for row in one.beyond:
            rows.setdefault(row[:4], []).append(row)
    return tuple(_mean_row(found) for found in rows.values())


def _mean_row(found: Sequence[BeyondRow]) -> BeyondRow:
    n = np.array([row.n_cases for row in found], np.float64)
    figures = np.array([row.figures for row in found], np.float64)
    weight = n[:, None] * ~np.isnan(figures)
    total = weight.sum(axis=0)
    mean = np.divide((np.nan_to_num(figures) * weight).sum(axis=0), total, out=np.full(7, np.nan), where=total > 0)
    return found[0]._replace(n_cases=int(n.sum()), figures=Beyond(*mean.tolist()))
