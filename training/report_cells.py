"""Cells of the tables of a report: figures as text, and what a difference says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from features.moments import to_datetime
from training.beyond import Beyond
from training.judging import SYSTEM, TWIN
from training.report_data import Cell, verdict

if TYPE_CHECKING:
    from training.evaluation import Evaluation, Row
    from training.metrics import Interval

Rows = dict[tuple[str, str, str, str, str], "Row"]


def rows_by_key(evaluation: Evaluation) -> Rows:
    """Rows by task, protocol, segment, system and metric; those without cases are left out."""
    return {row[:5]: row for row in evaluation.rows if row.n_cases}


def cases(row: Row) -> str:
    """How many cases of how many customers."""
    return f"{row.n_cases:,} cases of {row.n_customers:,} customers"


def date(at: int) -> str:
    """Day and minute of a moment in UTC."""
    return f"{to_datetime(at):%Y-%m-%d %H:%M}"


def stage_line(rows: Rows, row: Row) -> list[Cell]:
    """A slice with the full model, the same blind to the stage, what that adds, and the best baseline."""
    twin = rows[row.task, row.protocol, row.slice, TWIN, row.metric]
    says = verdict(row.stage_gain, is_judged=row.is_judged)
    words = {"better": "pays", "worse": "costs", "level": "no difference", "not judged": "not judged"}
    gain = Cell(signed(row.stage_gain), is_number=True, tone=says, mark=row.stage_gain)
    own, *others = comparison(rows, row)[1:]
    return [Cell(row.slice), count(row), own, mean(twin), gain, Cell(words[says], tone=says), *others]


def comparison(rows: Rows, row: Row | None) -> list[Cell]:
    """Number of cases, ours, the best baseline, the difference and what it says; for no cases, that there are none."""
    if row is None:
        return [number("0"), *[Cell("")] * 3, Cell("no cases", tone="not judged")]
    best = rows.get((row.task, row.protocol, row.slice, row.best, row.metric))
    says = verdict(row.delta, is_judged=row.is_judged)
    other = Cell("") if best is None else number(f"{best.value.mean:.4f} [{row.best}]")
    return [count(row), mean(row), other, delta(row), Cell(says, tone=says)]


def delta(row: Row, *, mark: bool = True) -> Cell:
    """Paired difference to the best baseline."""
    says = verdict(row.delta, is_judged=row.is_judged)
    return Cell(signed(row.delta), is_number=True, tone=says, mark=row.delta if mark else None)


def mean(row: Row) -> Cell:
    """Mean over cases, with its interval where it is ours."""
    ours = f" [{row.value.low:.3f}, {row.value.high:.3f}]" if row.system == SYSTEM else ""
    return number(f"{row.value.mean:.4f}{ours}")


def share(row: Row) -> Cell:
    """Mean and interval of a share."""
    return number(f"{row.value.mean:.1%} [{row.value.low:.1%}, {row.value.high:.1%}]")


def reached(own: Row, pool: Row) -> Cell:
    """How much of the ceiling was reached."""
    return number(f"{own.value.mean / pool.value.mean:.0%}" if pool.value.mean else "")


def count(row: Row) -> Cell:
    """Number of cases, with a star where they are too few to judge by."""
    return number(f"{row.n_cases:,}{'' if row.is_judged else ' *'}")


def signed(interval: Interval | None) -> str:
    """A difference with its sign and its interval."""
    if interval is None:
        return ""
    return f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]".replace("-", "−")


def beyond_cells(figures: Beyond) -> list[Cell]:
    """Figures beyond accuracy; nothing where there was nothing to measure."""
    shares = {"coverage", "diversity", "popularity_lift", "user_coverage"}
    forms = {name: "{:.0%}" if name in shares else "{:.2f}" for name in Beyond._fields} | {"popularity_lift": "{:+.0%}"}
    return [
        number("" if math.isnan(v) else forms[name].format(v).replace("-", "−"))
        for name, v in figures._asdict().items()
    ]


def figure(value: float | None) -> str:
    """A figure to four places; nothing for none."""
    return "" if value is None else f"{value:.4f}"


def number(text: str) -> Cell:
    """A cell that is set as a number."""
    return Cell(text, is_number=True)
