"""What a report is made of: rows that other parts measure, and grids that a terminal and a page both draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recommender.blend import Blend
    from training.evaluation import Evaluation
    from training.metrics import Interval

Verdict = Literal["better", "worse", "level", "not judged"]


class Bin(NamedTuple):
    """Customers of about one predicted probability: its mean, the share in whom it came true, how many."""

    predicted: float
    observed: float
    n: int


class MoveRow(NamedTuple):
    """How well the chance of one move from one stage within a horizon was told.

    ``log_loss`` in nats; ``baselines`` name → log-loss; ``brier_skill`` against the base rate; ``ece``
    debiased; ``slope`` of the calibration, whose interval should hold 1.
    """

    move: str
    stage: str
    horizon_days: float
    n: int
    base_rate: float
    log_loss: float
    baselines: Mapping[str, float]
    brier_skill: float
    ece: float
    slope: Interval
    bins: Sequence[Bin]


class KindRow(NamedTuple):
    """Whether scores of one kind of item mean what they say: predicted probability against observed share."""

    kind: str
    n: int
    predicted: float
    observed: float
    bins: Sequence[Bin] = ()


class ReportData(NamedTuple):
    """Everything that one report shows.

    ``facts`` are short pairs for its head (data, model, cut-off); ``moves`` and ``kinds`` are drawn only where
    there are any.
    """

    title: str
    evaluation: Evaluation
    blend: Blend
    n_items: int
    facts: Mapping[str, str]
    moves: Sequence[MoveRow] = ()
    kinds: Sequence[KindRow] = ()


class Cell(NamedTuple):
    """A cell; ``mark`` is a difference to draw on the axis that its column shares."""

    text: str
    is_number: bool = False
    tone: Verdict | None = None
    mark: Interval | None = None


class Grid(NamedTuple):
    """A table: its caption says what is compared and how. Cells of a group share the group's heading."""

    title: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def verdict(difference: Interval | None, *, is_judged: bool) -> Verdict:
    """What an interval of a difference says."""
    if not is_judged or difference is None:
        return "not judged"
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "level"
