"""What an evaluation is: rows of figures with their intervals, by task, protocol, segment, system and metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from training.judging import SYSTEM
from training.metrics import Interval
from training.segments import ALL, MIN_CASES

if TYPE_CHECKING:
    from training.beyond import Beyond


class Row(NamedTuple):
    """One line of an evaluation table.

    ``delta`` is the paired difference to the best baseline of the same segment, by its mean on the same
    cases, which ``best`` names; ``stage_gain`` the paired difference to the same system without the stage.
    All three are of the system's own rows alone.
    """

    task: str
    protocol: str
    slice: str
    system: str
    metric: str
    n_cases: int
    n_customers: int
    value: Interval
    delta: Interval | None = None
    best: str = ""
    stage_gain: Interval | None = None

    @property
    def is_judged(self) -> bool:
        """Whether there are enough cases to say anything by."""
        return self.n_cases >= MIN_CASES


class BeyondRow(NamedTuple):
    """Figures beyond accuracy of the first ranks of one system's lists."""

    task: str
    protocol: str
    slice: str
    system: str
    n_cases: int
    figures: Beyond


class Origin(NamedTuple):
    """A cut-off and the end of what was judged after it, microseconds, and how many cases that gave."""

    start: int
    end: int
    n_cases: int


@dataclass(frozen=True)
class Evaluation:
    """All tables of one or more origins; ``start`` and ``end`` in microseconds."""

    start: int
    end: int
    rows: tuple[Row, ...]
    beyond: tuple[BeyondRow, ...] = ()
    origins: tuple[Origin, ...] = ()

    def headline(self) -> dict[str, float]:
        """Mean of every metric over all cases of each task and protocol, for the registry."""
        chosen = (row for row in self.rows if row.slice == ALL and row.system == SYSTEM and row.n_cases)
        return {f"{row.task}/{row.protocol}/{row.metric.replace('@', '_at_')}": row.value.mean for row in chosen}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Both tables as flat records by name, for files."""
        beyond_rows = [
            dict(zip(row._fields[:-1], row[:-1], strict=True)) | row.figures._asdict() for row in self.beyond
        ]
        return {"evaluation": [_record(row) for row in self.rows], "beyond": beyond_rows}


def _record(row: Row) -> dict[str, Any]:
    names = ("task", "protocol", "slice", "system", "metric", "n_cases", "n_customers", "best")
    record: dict[str, Any] = {name: getattr(row, name) for name in names}
    for prefix, interval in (("", row.value), ("delta_", row.delta), ("stage_gain_", row.stage_gain)):
        record |= {
            f"{prefix}{name}": None if interval is None else getattr(interval, name) for name in Interval._fields
        }
    return record
