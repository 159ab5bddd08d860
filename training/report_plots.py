"""Pictures of a report as SVG that takes its colours and its letters from the page around it, light or dark."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features.journey import STAGES
from recommender.blend import CONTEXTS, TASKS
from training.evaluate import POOL
from training.judging import SYSTEM, TWIN
from training.report_cells import rows_by_key
from training.report_grids import METRIC, QUESTIONS
from training.segments import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from recommender.blend import Blend
    from training.evaluation import Evaluation, Row
    from training.report_cells import Rows
    from training.report_data import Bin

INK: Final = "#010101"
LINE: Final = "#020202"
SERIES: Final = ("#030301", "#030302", "#030303")
COLORS: Final[Mapping[str, str]] = {
    INK: "var(--ink)",
    LINE: "var(--line)",
    SERIES[0]: "var(--ours)",
    SERIES[1]: "var(--twin)",
    SERIES[2]: "var(--base)",
}
"""Colours as they are drawn → as the page names them."""
FADED: Final = 0.35
CEILING_SLICES: Final = (
    ALL,
    *(f"stage: {name}" for name in STAGES),
    "targets: repeat",
    "targets: explore",
    "items: cold",
)
SHORT: Final = {
    ("any", "session"): "Rest of a session, reminders allowed",
    ("new", "session"): "Rest of a session, new items only",
    ("any", "window"): "Days after the cut-off, reminders allowed",
    ("new", "window"): "Days after the cut-off, new items only",
}
"""The questions, as short as a panel is narrow."""
N_COLUMNS: Final = 2


def stage_plot(evaluation: Evaluation) -> str:
    """Bars with intervals for each stage: ours, ours without the stage, the best baseline; one panel a question."""
    rows = rows_by_key(evaluation)
    figure, panels = _panels(len(QUESTIONS), 3.1)
    for axes, (task, protocol) in zip(panels, QUESTIONS, strict=True):
        found = [rows[k] for name in STAGES if (k := (task, protocol, f"stage: {name}", SYSTEM, METRIC)) in rows]
        _bars(axes, rows, found)
        _title(axes, SHORT[task, protocol])
    panels[0].set_ylabel("NDCG@10")
    return svg(figure, "stages", "NDCG@10 by stage with 95 % intervals: ours, the stage removed, the best baseline")


def ceiling_plot(evaluation: Evaluation) -> str:
    """Recall of the candidates as an outline, recall of the first 20 ranks filled in; one panel a question."""
    rows = rows_by_key(evaluation)
    figure, panels = _panels(len(QUESTIONS), 2.7)
    for axes, (task, protocol) in zip(panels, QUESTIONS, strict=True):
        _ceilings(axes, rows, task, protocol)
        _title(axes, SHORT[task, protocol])
    return svg(figure, "ceiling", "Recall of the candidates, and recall within the first 20 ranks, by slice")


def weights_plot(blend: Blend) -> str:
    """Learned weights as a heat map, one panel a task."""
    figure, panels = _panels(len(TASKS), 3.6)
    for axes, task in zip(panels, TASKS, strict=True):
        weights = blend.weights[task]
        for row, column in np.ndindex(*weights.shape):
            _tile(axes, row, column, float(weights[row, column]), float(weights.max(initial=1e-9)))
        axes.set_xlim(-0.5, len(blend.sources) - 0.5)
        axes.set_ylim(len(CONTEXTS) - 0.5, -0.5)
        axes.set_xticks(range(len(blend.sources)), blend.sources, rotation=40, ha="right")
        axes.set_yticks(range(len(CONTEXTS)), CONTEXTS if task == TASKS[0] else [""] * len(CONTEXTS))
        _title(axes, f"task {task}")
    return svg(figure, "weights", "Weight of each source in each context, a panel a task")


def reliability_plot(curves: Mapping[str, Sequence[Bin]], name: str) -> str:
    """Observed share over predicted probability, one panel a curve; the size of a point is its n."""
    figure, panels = _panels(len(curves), 2.9, n_columns=3)
    for axes, (title, bins) in zip(panels, curves.items(), strict=True):
        reach = max([1e-3, *(max(one.predicted, one.observed) for one in bins)]) * 1.08
        axes.plot([0, reach], [0, reach], color=INK, alpha=0.45, linestyle="--", linewidth=0.9)
        points = np.array([(one.predicted, one.observed, one.n) for one in bins], np.float64).reshape(-1, 3)
        size = 8 + 60 * points[:, 2] / max(1.0, points[:, 2].max(initial=1.0))
        axes.plot(points[:, 0], points[:, 1], color=SERIES[0], linewidth=1.2)
        axes.scatter(points[:, 0], points[:, 1], s=size, color=SERIES[0], zorder=3)
        _title(axes, f"{title}\nn = {int(points[:, 2].sum()):,}")
        axes.set_xlabel("predicted")
    panels[0].set_ylabel("observed")
    return svg(figure, name, "Observed share against predicted probability; on the dashed line both agree")


def svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an SVG element with the page's colours; ``name`` keeps its ids apart from other pictures'."""
    import matplotlib as mpl

    drawn = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = drawn.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    for drawn_as, named in COLORS.items():
        text = text.replace(drawn_as, named)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" dir="ltr" ', 1)


def _panels(n: int, height: float, n_columns: int = N_COLUMNS) -> tuple[Figure, list[Any]]:
    """A figure of ``n`` panels, without frames and in the page's colours."""
    # The object interface needs no display and keeps no global list of open figures.
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    n_columns = min(n, n_columns)
    n_rows = -(-n // n_columns)
    figure = Figure(figsize=(5.4 * n_columns if n_columns == N_COLUMNS else 3.6 * n_columns, height * n_rows))
    FigureCanvasSVG(figure)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    panels = list(np.ravel(figure.subplots(n_rows, n_columns, squeeze=False)))
    for axes in panels:
        _plain(axes)
    for axes in panels[n:]:
        axes.set_axis_off()
    return figure, panels[:n]


def _plain(axes: Any) -> None:
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(8)


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9.5, color=INK, fontweight="bold", pad=8)


def _bars(axes: Any, rows: Rows, found: Sequence[Row]) -> None:
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    for at, row in enumerate(found):
        for number, system in enumerate((SYSTEM, TWIN, row.best)):
            other = rows.get((row.task, row.protocol, row.slice, system, row.metric))
            if other is not None:
                _bar(axes, at + (number - 1) * 0.26, other, SERIES[number])
    names = [f"{row.slice.removeprefix('stage: ')}\nn={row.n_cases:,}{'' if row.is_judged else ' *'}" for row in found]
    axes.set_xticks(range(len(found)), names)


def _bar(axes: Any, at: float, row: Row, color: str) -> None:
    alpha = 1.0 if row.is_judged else FADED
    reach = [[max(0.0, row.value.mean - row.value.low)], [max(0.0, row.value.high - row.value.mean)]]
    axes.bar(at, row.value.mean, 0.24, color=color, alpha=alpha)
    axes.errorbar(at, row.value.mean, yerr=reach, color=INK, linewidth=1, alpha=alpha)


def _ceilings(axes: Any, rows: Rows, task: str, protocol: str) -> None:
    names: list[str] = []
    for name in CEILING_SLICES:
        pool = rows.get((task, protocol, name, POOL, "recall@pool"))
        own = rows.get((task, protocol, name, SYSTEM, "recall@20"))
        if pool is None or own is None:
            continue
        at, alpha = len(names), 1.0 if pool.is_judged else FADED
        axes.barh(at, pool.value.mean, 0.68, color=SERIES[2], alpha=0.35 * alpha)
        axes.barh(at, own.value.mean, 0.68, color=SERIES[0], alpha=alpha)
        axes.text(
            min(pool.value.mean + 0.01, 0.995),
            at,
            f"{own.value.mean:.0%} of {pool.value.mean:.0%}",
            color=INK,
            fontsize=7.5,
            va="center",
        )
        names.append(f"{name}  n={pool.n_cases:,}{'' if pool.is_judged else ' *'}")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 1.16)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.invert_yaxis()


def _tile(axes: Any, row: int, column: int, weight: float, most: float) -> None:
    """One weight as a square whose depth is its share of the greatest, with its figure where it counts."""
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle(
            (column - 0.47, row - 0.45), 0.94, 0.9, color=SERIES[0], alpha=0.06 + 0.94 * weight / most, linewidth=0
        )
    )
    if weight >= 0.02:
        axes.text(column, row, f"{weight:.2f}".lstrip("0"), color=INK, fontsize=7, ha="center", va="center")
