"""Pictures of an evaluation, for the registry and the reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recommender.blend import CONTEXTS, TASKS
from training.report_grids import STAGE_SLICES
from training.segments import ALL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from recommender.blend import Blend
    from training.evaluation import Evaluation, Row

METRIC = "ndcg@10"
MIN_CASES = 10


def figures_of(evaluation: Evaluation, blend: Blend) -> dict[str, Figure]:
    """One bar chart with intervals per task and protocol, and the learned weights as a heat map."""
    figures = {f"weights_{task}": _weights(blend, task) for task in TASKS}
    for task, protocol in sorted({(row.task, row.protocol) for row in evaluation.rows}):
        rows = [row for row in evaluation.rows if (row.task, row.protocol, row.metric) == (task, protocol, METRIC)]
        rows = [row for row in rows if row.n_cases >= MIN_CASES and row.slice in (ALL, *STAGE_SLICES)]
        if rows:
            figures[f"ndcg_{task}_{protocol}"] = _bars(rows, f"NDCG@10, task {task}, protocol {protocol}")
    return figures


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    # The object interface needs no display and keeps no global list of open figures.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _bars(rows: list[Row], title: str) -> Figure:
    slices = list(dict.fromkeys(row.slice for row in rows))
    systems = list(dict.fromkeys(row.system for row in rows))
    figure, axes = _figure(2 + 1.3 * len(slices), 4.2)
    width = 0.8 / len(systems)
    for number, system in enumerate(systems):
        own = [row for row in rows if row.system == system]
        at = np.array([slices.index(row.slice) for row in own]) + (number - (len(systems) - 1) / 2) * width
        mean = np.array([row.value.mean for row in own])
        reach = [mean - [row.value.low for row in own], [row.value.high for row in own] - mean]
        axes.bar(at, mean, width, yerr=np.maximum(reach, 0), capsize=2, label=system)
    n_cases = {row.slice: row.n_cases for row in rows}
    axes.set_xticks(range(len(slices)), [f"{name}\nn={n_cases[name]}" for name in slices], fontsize=8)
    axes.set_title(title)
    axes.legend(fontsize=8)
    return figure


def _weights(blend: Blend, task: str) -> Figure:
    figure, axes = _figure(2 + 0.8 * len(blend.sources), 4)
    picture = axes.imshow(blend.weights[task], cmap="Greens", vmin=0, aspect="auto")
    axes.set_xticks(range(len(blend.sources)), blend.sources, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(CONTEXTS)), CONTEXTS, fontsize=8)
    axes.set_title(f"Blend weights, task {task}")
    figure.colorbar(picture)
    return figure
