"""A grid as an HTML table, with its differences drawn on an axis that the table shares."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Final

from training.judging import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.report_data import Cell, Grid, Verdict

WRAPPED: Final = 40
"""Characters above which a cell may break into lines."""
TONES: Final[dict[Verdict | None, str]] = {
    "better": "better",
    "worse": "worse",
    "level": "level",
    "not judged": "unjudged",
    None: "",
}


def table_of(grid: Grid) -> str:
    """The table with its caption, which scrolls by itself where it is too wide."""
    reach = _reach(grid)
    is_number = [all(not row[at].text or row[at].is_number for row in grid.rows) for at in range(len(grid.head))]
    head = "".join(
        f'<th scope="col"{" class=number" if number else ""}>{escape(name)}</th>'
        for name, number in zip(grid.head, is_number, strict=True)
    )
    body = "".join(_row(row, reach) for row in grid.rows)
    caption = f"<caption><strong>{escape(grid.title)}</strong><span>{escape(grid.caption)}</span></caption>"
    inner = f"{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll" tabindex="0"><table>{inner}</table></div>'


def _row(row: Sequence[Cell], reach: float) -> str:
    first, *rest = row
    kind = {SYSTEM: ' class="ours"', "to the best baseline": ' class="last"'}.get(first.text, "")
    cells = "".join(_cell(cell, reach) for cell in rest)
    return f'<tr{kind}><th scope="row"><bdi>{escape(first.text)}</bdi></th>{cells}</tr>'


def _cell(cell: Cell, reach: float) -> str:
    classes = [name for name in ("number" if cell.is_number else "", tone_of(cell.tone)) if name]
    classes += ["wrap"] if len(cell.text) > WRAPPED and not cell.is_number else []
    named = f' class="{" ".join(classes)}"' if classes else ""
    if cell.tone and not cell.is_number:
        return f'<td{named}><span class="tag">{escape(cell.text)}</span></td>'
    value, bracket, interval = escape(cell.text).partition(" [")
    small = f"<small>[{interval}</small>" if bracket else ""
    mark = "" if cell.mark is None else _mark(cell, reach)
    direction = ' dir="ltr"' if cell.is_number else ""
    return f"<td{named}><bdi{direction}>{value}{small}</bdi>{mark}</td>"


def _mark(cell: Cell, reach: float) -> str:
    """The interval drawn on an axis around nought that all marks of a table share."""
    assert cell.mark is not None
    mean, low, high = (50 + 48 * max(-1.0, min(1.0, value / reach)) for value in cell.mark)
    return (
        '<svg class="mark" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true" dir="ltr">'
        '<line class="zero" x1="50" x2="50" y1="0" y2="12"/>'
        f'<line class="span" x1="{low:.1f}" x2="{high:.1f}" y1="6" y2="6"/>'
        f'<circle cx="{mean:.1f}" cy="6" r="2.4"/></svg>'
    )


def _reach(grid: Grid) -> float:
    """Greatest distance from nought of any mark of a table that is judged, or of any where none is."""
    marks = [cell for row in grid.rows for cell in row if cell.mark is not None]
    judged = [cell for cell in marks if cell.tone != "not judged"] or marks
    return max([1e-9, *(abs(bound) for cell in judged if cell.mark for bound in cell.mark if not math.isnan(bound))])


def tone_of(says: Verdict | None) -> str:
    """Class of what a difference says."""
    return TONES[says]
