"""The report as one HTML page that needs nothing beside itself: tables, pictures and words of one evaluation."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from features.errors import InputError
from training.evaluate import SYSTEM
from training.report_data import verdict
from training.report_grids import (
    METRIC,
    QUESTIONS,
    accuracy_grids,
    beyond_grids,
    ceiling_grid,
    date,
    kind_grid,
    move_grid,
    origin_grid,
    policy_grid,
    rows_by_key,
    segment_grids,
    stage_grids,
)
from training.report_plots import ceiling_plot, reliability_plot, stage_plot, weights_plot
from training.report_words import sentences
from training.segments import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from training.report_data import Bin, Cell, Grid, ReportData

WRAPPED: Final = 40
"""Characters above which a cell may break into lines."""
LEGEND: Final = (("ours", "rihla"), ("twin", "stage removed"), ("base", "best baseline of each stage"))
METHOD: Final = (
    "Every case is a customer at a moment. The model knew nothing at or after its cut-off, and the customer's own state "
    "holds what happened before the moment and nothing later.",
    "Every list is ranked over the full catalogue known at the cut-off by the code that serves, without sampled "
    "negatives and without serving rules. A target that the catalogue did not know yet counts as missed.",
    "A baseline is one of our own sources alone, tuned on the same window. The best is picked on the very cases that are "
    "shown, which favours it.",
    "Intervals are 95 % percentile bootstrap intervals over customers, 2,000 draws; differences are paired. Many lines "
    "are shown and none is corrected for that: one line in forty strays to either side by chance.",
    "Ties are broken by score and then by item, so equal data gives equal tables.",
)


def page_of(data: ReportData) -> str:
    """The whole document."""
    sections = list(_sections(data))
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title, _ in sections)
    body = "".join(f'<section id="{name}"><h2>{escape(title)}</h2>{inner}</section>' for name, title, inner in sections)
    return (
        '<!doctype html>\n<html lang="en" dir="ltr">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(data.title)}</title>\n<style>\n{_styles()}</style>\n</head>\n<body>\n"
        f"{_head(data)}\n<nav aria-label=\"Sections\"><ul>{links}</ul></nav>\n<main>\n{_says(data)}{_tiles(data)}{body}\n</main>\n"
        "<footer>Means of small slices move a lot. Where a line is not judged, read it as a question.</footer>\n"
        "</body>\n</html>\n"
    )


def write_page(path: Path, data: ReportData) -> Path:
    """Write the document in one step; return its path.

    Raises
    ------
    InputError
        Where nothing can be written.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(page_of(data), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, got: {error.strerror}") from None
    return path


def _styles() -> str:
    return files("training").joinpath("report.css").read_text(encoding="utf-8")


def _sections(data: ReportData) -> Iterable[tuple[str, str, str]]:
    """Id, title and content of every section; those without rows are left out."""
    found = data.evaluation
    yield "accuracy", "Accuracy", _tables(accuracy_grids(found))
    yield "stages", "Stage by stage", _stages(data)
    yield "slices", "Cold, warm, repeat, explore, kinds", _folded(list(segment_grids(found)))
    ceiling = _figure(ceiling_plot(found), "Filled: found in the first 20 ranks. Pale: proposed by any source. Faded with *: fewer than 200 cases.")
    yield "ceiling", "The ceiling", ceiling + _fold("Every slice in figures", _table(ceiling_grid(found)))
    yield "beyond", "Beyond accuracy", _folded(list(beyond_grids(found)))
    if data.moves:
        curves = {f"{row.move} from {row.stage}, {row.horizon_days:g} days": row.bins for row in data.moves if row.bins}
        yield "moves", "Moves", _table(move_grid(data.moves)) + _curves(curves, "moves")
    if data.kinds:
        curves = {row.kind: row.bins for row in data.kinds if row.bins}
        yield "kinds", "One scale for all kinds", _table(kind_grid(data.kinds)) + _curves(curves, "kinds")
    weights = _figure(weights_plot(data.blend), "Rows: stage, and whether the customer is in a session. Each row sums to 1.")
    yield "weights", "What each source weighs", weights
    method = "".join(f"<li>{escape(line)}</li>" for line in METHOD)
    yield "method", "How this was measured", f"<ul>{method}</ul>{_table(origin_grid(found))}"


def _head(data: ReportData) -> str:
    span = f"{date(data.evaluation.start)} to {date(data.evaluation.end)} UTC"
    facts = {"judged": span, **data.facts}
    pairs = "".join(f"<div><dt>{escape(k)}</dt><dd><bdi>{escape(v)}</bdi></dd></div>" for k, v in facts.items())
    return f'<header class="top"><h1 dir="auto">{escape(data.title)}</h1><dl class="facts">{pairs}</dl></header>'


def _says(data: ReportData) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in sentences(data))
    return f'<div class="says"><h2>What this says</h2><ul>{lines}</ul></div>'


def _tiles(data: ReportData) -> str:
    """One figure a question: how far ours is from the best baseline."""
    rows = rows_by_key(data.evaluation)
    tiles = []
    for (task, protocol), question in QUESTIONS.items():
        row = rows.get((task, protocol, ALL, SYSTEM, METRIC))
        if row is None or row.delta is None:
            continue
        before = row.value.mean - row.delta.mean
        share = f"{row.delta.mean / before:+.1%}" if before > 0 else f"{row.delta.mean:+.3f}"
        says = verdict(row.delta, is_judged=row.is_judged)
        tiles.append(
            f'<div class="tile {_tone(says)}"><span class="name">{escape(question)}</span><b dir="ltr">{share}</b>'
            f'<span>NDCG@10 to {escape(row.best)}, n = {row.n_cases:,} <span class="tag">{says}</span></span></div>'
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _stages(data: ReportData) -> str:
    keys = "".join(f'<span style="--key: var(--{name})">{text}</span>' for name, text in LEGEND)
    caption = "NDCG@10 with 95 % intervals over customers. Faded with *: fewer than 200 cases, not judged."
    picture = _figure(f'<div class="legend">{keys}</div>{stage_plot(data.evaluation)}', caption)
    return picture + _tables(stage_grids(data.evaluation)) + _table(policy_grid(data.evaluation))


def _curves(curves: dict[str, Sequence[Bin]], name: str) -> str:
    if not curves:
        return ""
    caption = "On the dashed line the predicted probability is the observed share. Larger points hold more customers."
    return _figure(reliability_plot(curves, name), caption)


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _fold(title: str, inner: str, *, is_open: bool = False) -> str:
    return f"<details{' open' if is_open else ''}><summary>{escape(title)}</summary>{inner}</details>"


def _folded(grids: Sequence[Grid]) -> str:
    """The first table open, the rest a click away."""
    return "".join(_fold(grid.title, _table(grid), is_open=number == 0) for number, grid in enumerate(grids))


def _tables(grids: Iterable[Grid]) -> str:
    return "".join(_table(grid) for grid in grids)


def _table(grid: Grid) -> str:
    reach = _reach(grid)
    is_number = [all(not row[at].text or row[at].is_number for row in grid.rows) for at in range(len(grid.head))]
    head = "".join(
        f'<th scope="col"{" class=number" if number else ""}>{escape(name)}</th>'
        for name, number in zip(grid.head, is_number, strict=True)
    )
    body = "".join(_row(row, reach) for row in grid.rows)
    caption = f"<caption><strong>{escape(grid.title)}</strong><span>{escape(grid.caption)}</span></caption>"
    return f'<div class="scroll" tabindex="0"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(row: Sequence[Cell], reach: float) -> str:
    first, *rest = row
    kind = {SYSTEM: ' class="ours"', "to the best baseline": ' class="last"'}.get(first.text, "")
    cells = "".join(_cell(cell, reach) for cell in rest)
    return f'<tr{kind}><th scope="row"><bdi>{escape(first.text)}</bdi></th>{cells}</tr>'


def _cell(cell: Cell, reach: float) -> str:
    classes = [name for name in ("number" if cell.is_number else "", _tone(cell.tone)) if name]
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
        f'<line class="zero" x1="50" x2="50" y1="0" y2="12"/><line class="span" x1="{low:.1f}" x2="{high:.1f}" y1="6" y2="6"/>'
        f'<circle cx="{mean:.1f}" cy="6" r="2.4"/></svg>'
    )


def _reach(grid: Grid) -> float:
    """Greatest distance from nought of any mark of a table that is judged, or of any where none is."""
    marks = [cell for row in grid.rows for cell in row if cell.mark is not None]
    judged = [cell for cell in marks if cell.tone != "not judged"] or marks
    return max([1e-9, *(abs(bound) for cell in judged if cell.mark for bound in cell.mark if bound == bound)])


def _tone(says: str | None) -> str:
    return {"better": "better", "worse": "worse", "level": "level", "not judged": "unjudged"}.get(says or "", "")
