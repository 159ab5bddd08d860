from __future__ import annotations

from benchmarks.stages import markdown
from training.report_data import Cell, Grid


def test_a_grid_as_markdown():
    grid = Grid("Any item", "caption", ("customers", "n"), [[Cell("stage: retention"), Cell("1,234")]])
    assert list(markdown(grid)) == [
        "Any item",
        "",
        "| customers | n |",
        "| --- | --- |",
        "| stage: retention | 1,234 |",
    ]
