"""What a training run and an evaluation say at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from features.moments import to_text
from training.report_grids import (
    accuracy_grids,
    beyond_grids,
    ceiling_grid,
    kind_grid,
    move_grid,
    policy_grid,
    segment_grids,
    stage_grids,
)
from training.report_moves import shown_moves
from training.report_words import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from training.job import Published
    from training.registry import Version
    from training.report_data import Cell, Grid, ReportData
    from training.search import Found
    from training.stages import MoveChance

TONES = {"better": "green", "worse": "red", "not judged": "dim"}


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
    lines += [f"no move {why}" for why in fitted.moves.left_out]
    rows = shown_moves(fitted.moves.report)
    moves = [*([move_grid(rows)] if rows else []), *([kind_grid(fitted.kinds)] if fitted.kinds else [])]
    if fitted.evaluation is None:
        lines.append("not evaluated and not tuned: too few customers with a history in the last fifth of the time")
        return Group(Text("\n".join(lines)), *map(_drawn, moves))
    grids = [*accuracy_grids(fitted.evaluation), *stage_grids(fitted.evaluation), *moves]
    return Group(Text("\n".join(lines)), *map(_drawn, grids))


def tables(data: ReportData) -> RenderableType:
    """Every table of a report for a terminal, and what they say at the end, where it is read."""
    found = data.evaluation
    grids = [
        *accuracy_grids(found),
        *stage_grids(found),
        policy_grid(found),
        *segment_grids(found),
        ceiling_grid(found),
        *beyond_grids(found),
        *([move_grid(data.moves)] if data.moves else []),
        *([kind_grid(data.kinds)] if data.kinds else []),
    ]
    words = Text("\n".join(f"• {line}" for line in sentences(data)))
    return Group(*map(_drawn, grids), Padding(words, (1, 0)))


def searched(found: Sequence[Found]) -> Table:
    """What a search found, a row a field of the recipe."""
    table = Table("recipe", "trials", "validation ndcg@10 at first", "best")
    for one in found:
        table.add_row(one.field, f"{one.n_trials:,}", f"{one.before:.4f}", f"{one.after:.4f}")
    return table


def listing(versions: Sequence[Version]) -> Table:
    """Registered versions, newest first, with the figures that they were published with."""
    table = Table("version", "aliases", "trained until", "created", "content digest", "ndcg@10")
    for row in versions:
        figures = [f"{name.rsplit('/', 1)[0]} {value:.4f}" for name, value in row.metrics.items() if "ndcg" in name]
        moments = (to_text(row.until), to_text(row.created_at // 1_000_000 * 1_000_000))
        table.add_row(str(row.version), " ".join(row.aliases), *moments, row.content_digest[:12], "\n".join(figures))
    return table


def _drawn(grid: Grid) -> RenderableType:
    table = Table(title=grid.title, title_justify="left", caption=grid.caption, caption_justify="left")
    for at, name in enumerate(grid.head):
        is_number = all(not row[at].text or row[at].is_number for row in grid.rows)
        table.add_column(name, justify="right" if is_number else "left")
    for row in grid.rows:
        table.add_row(*map(_text, row))
    return Padding(table, (1, 0, 0, 0))


def _text(cell: Cell) -> Text:
    return Text(cell.text.replace(" [", "\n["), style=TONES.get(cell.tone or "", ""))


def chances(found: Sequence[MoveChance]) -> Table:
    """Mean chance of each move, by the stage it starts from."""
    table = Table("stage", "move", "within", "customers", "mean chance")
    for row in found:
        cells = (f"{row.horizon_days} days", f"{row.n_customers:,}", f"{row.probability:.1%}")
        table.add_row(row.stage, row.move, *cells)
    return table
