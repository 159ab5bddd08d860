"""What a training run says at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from features.moments import to_text
from training.evaluate import BASELINES, SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from training.evaluate import Evaluation, Row
    from training.job import Published
    from training.move_report import MoveRow
    from training.registry import Version
    from training.stages import MoveChance

METRIC = "ndcg@10"
MIN_CASES = 200
"""Slices of fewer cases are shown, and marked as too small to judge by."""


def report(published: Published) -> RenderableType:
    """Version and digests, what was left out, and the evaluation by slice."""
    fitted = published.fitted
    lines = [
        f"version {published.version}",
        f"bundle {published.bundle}",
        f"content digest {published.content_digest}",
        f"sources {', '.join(fitted.engine.sources)}",
    ]
    if fitted.left_out:
        lines.append(f"left out, because the data does not carry it: {', '.join(fitted.left_out)}")
    moves = _moves(fitted.moves.report), *(Text(f"no move {why}") for why in fitted.moves.left_out)
    if fitted.evaluation is None:
        lines.append("not evaluated and not tuned: too few customers with a history in the last fifth of the time")
        return Group(Text("\n".join(lines)), *moves)
    span = f"{to_text(fitted.evaluation.start)} to {to_text(fitted.evaluation.end)}"
    lines.append(
        f"{METRIC} on {span}, full catalogue, bare ranking, 95 % bootstrap intervals; * fewer than {MIN_CASES} cases"
    )
    return Group(Text("\n".join(lines)), _table(fitted.evaluation), *moves)


def listing(versions: Sequence[Version]) -> Table:
    """Registered versions, newest first, with the figures that they were published with."""
    table = Table("version", "aliases", "trained until", "created", "content digest", "ndcg@10")
    for row in versions:
        figures = [f"{name.rsplit('/', 1)[0]} {value:.4f}" for name, value in row.metrics.items() if "ndcg" in name]
        moments = (to_text(row.until), to_text(row.created_at // 1_000_000 * 1_000_000))
        table.add_row(str(row.version), " ".join(row.aliases), *moments, row.content_digest[:12], "\n".join(figures))
    return table


def _table(evaluation: Evaluation) -> Table:
    systems = (SYSTEM, *BASELINES)
    table = Table("task", "protocol", "slice", "n", *systems, "to the best of these")
    rows = [row for row in evaluation.rows if row.metric == METRIC and row.n_cases]
    for key in dict.fromkeys((row.task, row.protocol, row.slice) for row in rows):
        own = {row.system: row for row in rows if (row.task, row.protocol, row.slice) == key}
        n = own[SYSTEM].n_cases
        cells = [_value(own.get(system)) for system in systems]
        table.add_row(*key, f"{n}{'*' if n < MIN_CASES else ''}", *cells, _delta(own[SYSTEM]))
    return table


def _value(row: Row | None) -> str:
    if row is None:
        return ""
    interval = f" [{row.value.low:.3f}, {row.value.high:.3f}]" if row.system == SYSTEM else ""
    return f"{row.value.mean:.4f}{interval}"


def _delta(row: Row) -> str:
    return "" if row.delta is None else f"{row.delta.mean:+.3f} [{row.delta.low:+.3f}, {row.delta.high:+.3f}]"


def chances(found: Sequence[MoveChance]) -> Table:
    """Mean chance of each move, by the stage it starts from."""
    table = Table("stage", "move", "within", "customers", "mean chance")
    for row in found:
        cells = (f"{row.horizon_days} days", f"{row.n_customers:,}", f"{row.probability:.1%}")
        table.add_row(row.stage, row.move, *cells)
    return table


def _moves(report: Sequence[MoveRow]) -> RenderableType:
    """How the moves did on later customers, beside the best baseline of each."""
    rows = [row for row in report if row.moments == "all"]
    if not rows:
        return Text("no moves were learned")
    table = Table("move", "from", "days", "n", "rate", "log-loss", "best baseline", "Brier skill", "ECE", "slope")
    for row in rows:
        name, best = row.best_baseline, row.log_losses[row.best_baseline]
        slope = "" if row.slope is None else "{:.2f} [{:.2f}, {:.2f}]".format(*row.slope)
        figures = (f"{row.base_rate:.4f}", f"{row.log_loss:.4f}", f"{name} {best:.4f}", f"{row.brier_skill:.3f}")
        table.add_row(row.move, row.stage, str(row.horizon_days), f"{row.n:,}", *figures, f"{row.ece:.3f}", slope)
    return table
