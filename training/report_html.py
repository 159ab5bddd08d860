"""The report as one HTML page that needs nothing beside itself: tables, pictures and words of one evaluation."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from features.errors import InputError
from training.judging import SYSTEM
from training.report_cells import date, rows_by_key
from training.report_data import verdict
from training.report_grids import (
    METRIC,
    QUESTIONS,
    accuracy_grids,
    beyond_grids,
    ceiling_grid,
    kind_grid,
    move_grid,
    origin_grid,
    policy_grid,
    segment_grids,
    stage_grids,
)
from training.report_plots import ceiling_plot, reliability_plot, stage_plot, weights_plot
from training.report_table import table_of, tables_of, tone_of
from training.report_words import METHOD, sentences
from training.segments import ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from training.report_data import Bin, Grid, ReportData

LEGEND: Final = (("ours", "rihla"), ("twin", "stage removed"), ("base", "best baseline of each stage"))


def page_of(data: ReportData) -> str:
    """The whole document."""
    sections = [section for section in _sections(data) if section[2]]
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title, _ in sections)
    body = "".join(f'<section id="{name}"><h2>{escape(title)}</h2>{inner}</section>' for name, title, inner in sections)
    return (
        '<!doctype html>\n<html lang="en" dir="ltr">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(data.title)}</title>\n<style>\n{_styles()}</style>\n</head>\n<body>\n"
        f'{_head(data)}\n<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
        f"<main>\n{_says(data)}{_tiles(data)}{body}\n</main>\n"
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
    yield "accuracy", "Accuracy", tables_of(accuracy_grids(found))
    yield "stages", "Stage by stage", _stages(data)
    yield "slices", "Cold, warm, repeat, explore, kinds", _folded(list(segment_grids(found)))
    ceiling = _figure(
        ceiling_plot(found),
        "Filled: found in the first 20 ranks. Pale: proposed by any source. Faded with *: fewer than 200 cases.",
    )
    yield "ceiling", "The ceiling", ceiling + _fold("Every slice in figures", table_of(ceiling_grid(found)))
    yield "beyond", "Beyond accuracy", _folded(list(beyond_grids(found)))
    if data.moves:
        curves = {f"{row.move} from {row.stage}, {row.horizon_days:g} days": row.bins for row in data.moves if row.bins}
        yield "moves", "Moves", table_of(move_grid(data.moves)) + _curves(curves, "moves")
    if data.kinds:
        curves = {row.kind: row.bins for row in data.kinds if row.bins}
        yield "kinds", "One scale for all kinds", table_of(kind_grid(data.kinds)) + _curves(curves, "kinds")
    weights = _figure(
        weights_plot(data.blend), "Rows: stage, and whether the customer is in a session. Each row sums to 1."
    )
    yield "weights", "What each source weighs", weights
    method = "".join(f"<li>{escape(line)}</li>" for line in METHOD)
    yield "method", "How this was measured", f"<ul>{method}</ul>{table_of(origin_grid(found))}"


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
        share = share.replace("-", "−")
        says = verdict(row.delta, is_judged=row.is_judged)
        tiles.append(
            f'<div class="tile {tone_of(says)}"><span class="name">{escape(question)}</span><b dir="ltr">{share}</b>'
            f'<span>NDCG@10 to {escape(row.best)}, n = {row.n_cases:,} <span class="tag">{says}</span></span></div>'
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _stages(data: ReportData) -> str:
    keys = "".join(f'<span style="--key: var(--{name})">{text}</span>' for name, text in LEGEND)
    caption = "NDCG@10 with 95 % intervals over customers. Faded with *: fewer than 200 cases, not judged."
    picture = _figure(f'<div class="legend">{keys}</div>{stage_plot(data.evaluation)}', caption)
    return picture + tables_of(stage_grids(data.evaluation)) + table_of(policy_grid(data.evaluation))


def _curves(curves: dict[str, Sequence[Bin]], name: str) -> str:
    if not curves:
        return ""
    caption = "On the dashed line the predicted probability is the observed share. Larger points hold more customers."
    return _figure(reliability_plot(curves, name), caption)


def _figure(picture: str, caption: str) -> str:
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _fold(title: str, inner: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"


def _folded(grids: Sequence[Grid]) -> str:
    """The first table open, the rest a click away."""
    first, rest = grids[:1], grids[1:]
    return tables_of(first) + "".join(_fold(grid.title, table_of(grid)) for grid in rest)
