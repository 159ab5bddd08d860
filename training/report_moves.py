"""Figures of moves as a report shows them: one row a move and stage, over all later moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from training.metrics import Interval
from training.report_data import Bin, MoveRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training import move_report

UNKNOWN: Final = Interval(float("nan"), float("nan"), float("nan"))


def shown_moves(report: Sequence[move_report.MoveRow]) -> tuple[MoveRow, ...]:
    """Rows of a report."""
    return tuple(_shown(row) for row in report if row.moments == "all")


def _shown(row: move_report.MoveRow) -> MoveRow:
    return MoveRow(
        row.move,
        row.stage,
        float(row.horizon_days),
        row.n,
        row.base_rate,
        row.log_loss,
        row.log_losses,
        row.brier_skill,
        row.ece,
        UNKNOWN if row.slope is None else Interval(*row.slope),
        tuple(Bin(one.predicted, one.observed, one.n) for one in row.bins),
    )
