"""A grid as an HTML table, with its differences drawn on an axis that the table shares."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Final

from training.judging import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from training.metrics import Interval
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


def table_of(grid: Grid, *, is_quiet: bool = False) -> str:
    """The table with its caption, which scrolls by itself where it is too wide.

    Parameters
    ----------
    is_quiet
        The caption's text was seen above: it is for those who hear the page.
    """
    columns = [[row[at] for row in grid.rows] for at in range(len(grid.head))]
    reach = [_reach(cells) for cells in columns]
    head = "".join(map(_head, grid.head, columns))
    body = "".join(_row(row, reach) for row in grid.rows)
    words = f"<span{' class=unseen' if is_quiet else ''}>{escape(grid.caption)}</span>"
    inner = f"<caption><strong>{escape(grid.title)}</strong>{words}</caption><thead><tr>{head}</tr></thead>"
    return f'<div class="scroll" tabindex="0"><table>{inner}<tbody>{body}</tbody></table></div>'


def tables_of(grids: Iterable[Grid]) -> str:
    """Tables one below the other; what their captions share is shown once."""
    seen: set[str] = set()
    found = []
    for grid in grids:
        found.append(table_of(grid, is_quiet=grid.caption in seen))
        seen.add(grid.caption)
    return "".join(found)


def tone_of(says: Verdict | None) -> str:
    """Class of what a difference says."""
    return TONES[says]


def _head(name: str, cells: Sequence[Cell]) -> str:
    is_number = all(not cell.text or cell.is_number for cell in cells)
    return f'<th scope="col"{" class=number" if is_number else ""}>{escape(name)}</th>'


def _row(row: Sequence[Cell], reach: Sequence[float]) -> str:
    first, *rest = row
    kind = {SYSTEM: ' class="ours"', "to the best baseline": ' class="last"'}.get(first.text, "")
    cells = "".join(map(_cell, rest, reach[1:]))
    return f'<tr{kind}><th scope="row"><bdi>{escape(first.text)}</bdi></th>{cells}</tr>'


def _cell(cell: Cell, reach: float) -> str:
    is_long = len(cell.text) > WRAPPED and not cell.is_number
    classes = ("number" * cell.is_number, tone_of(cell.tone), "wrap" * is_long)
    named = " ".join(name for name in classes if name)
    attribute = f' class="{named}"' if named else ""
    if cell.tone and not cell.is_number:
        return f'<td{attribute}><span class="tag">{escape(cell.text)}</span></td>'
    mark = "" if cell.mark is None else _mark(cell.mark, reach)
    return f"<td{attribute}>{mark}{_text(cell)}</td>"


def _text(cell: Cell) -> str:
    """What is written; what is in brackets, an interval or a name, goes below."""
    value, bracket, more = escape(cell.text).partition(" [")
    below = f"<small>{more.removesuffix(']') if more[:1].isalpha() else f'[{more}'}</small>" if bracket else ""
    return f"<bdi{' dir=ltr' if cell.is_number else ''}>{value}{below}</bdi>"


def _mark(interval: Interval, reach: float) -> str:
    """The interval drawn on an axis around nought that all marks of a column share."""
    mean, low, high = (50 + 48 * max(-1.0, min(1.0, value / reach)) for value in interval)
    return (
        '<svg class="mark" viewBox="0 0 100 12" aria-hidden="true">'
        '<line class="zero" x1="50" x2="50" y1="0" y2="12"/>'
        f'<line class="span" x1="{low:.1f}" x2="{high:.1f}" y1="6" y2="6"/>'
        f'<circle cx="{mean:.1f}" cy="6" r="2.6"/></svg>'
    )


def _reach(cells: Sequence[Cell]) -> float:
    """Greatest distance from nought of any mark that is judged, or of any where none is."""
    marked = [cell for cell in cells if cell.mark is not None]
    judged = [cell for cell in marked if cell.tone != "not judged"] or marked
    return max([1e-9, *(abs(end) for cell in judged for end in cell.mark or () if not math.isnan(end))])
