"""How good the moves are: log-loss beside simple baselines, calibration and reliability, on later customers.

The baselines know where a customer stands and for how long, and count what came of it in the training rows:

* ``base rate``    one frequency for everybody in the stage
* ``Markov``       the first-order transition over stages: a frequency a stage and phase
* ``semi-Markov``  a frequency a stage, phase and eighth of the time in stage
* ``90/365 days``  the usual rule: active, cooling and gone, by the days since the last sign of life
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy.special import expit

from features.state_table import NEVER
from recommender.move_features import MOVE_FEATURES
from training.fitting.calibrate import fit_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from recommender.moves import MoveModel
    from training.move_rows import Rows

    Mask = NDArray[np.bool_]
    FloatVector = NDArray[np.float64]

N_BINS: Final = 15
N_STAGE_TIMES: Final = 8
RULE_DAYS: Final = (90.0, 365.0)
PRIOR_ROWS: Final = 2.0
"""Rows of the base rate that every cell of a baseline starts with (Laplace)."""
MIN_SIDES: Final = 5
"""A slope needs so many of each outcome."""


class Bin(NamedTuple):
    """One equal-mass bin of a reliability curve: rows, mean probability, share that happened."""

    n: int
    predicted: float
    observed: float


class MoveRow(NamedTuple):
    """Figures of one model on one set of later customers, each counted once.

    ``moments`` is ``all``, ``cut-offs`` (rolling) or ``visits`` (just after a touch). ``log_losses`` are of the
    baselines, in nats as ``log_loss``. ``brier_skill`` is 1 less the Brier score over that of the base rate.
    ``ece`` is the debiased calibration error; ``slope`` the calibration slope with its 95 % interval, None
    where there is too little of either outcome.
    """

    move: str
    stage: str
    horizon_days: int
    moments: str
    n: int
    n_happened: int
    log_loss: float
    log_losses: Mapping[str, float]
    brier_skill: float
    ece: float
    slope: tuple[float, float, float] | None
    bins: tuple[Bin, ...]

    @property
    def base_rate(self) -> float:
        """Share of the customers whom it happened to."""
        return self.n_happened / max(1, self.n)

    @property
    def is_better(self) -> bool:
        """Whether the log-loss is below that of every baseline."""
        return self.log_loss < self.log_losses[self.best_baseline]

    @property
    def best_baseline(self) -> str:
        """Name of the baseline with the least log-loss."""
        return min(self.log_losses, key=lambda name: self.log_losses[name])


class Trial(NamedTuple):
    """A model, the rows that baselines may count, the later rows it is judged on, and what happened in all rows."""

    model: MoveModel
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    y: Mask


def evaluate_moves(rows: Rows, trials: Iterable[Trial]) -> tuple[MoveRow, ...]:
    """Figures of every trial, over all test moments and over each kind of them."""
    return tuple(row for trial in trials for row in _rows(rows, trial))


def _rows(rows: Rows, trial: Trial) -> Iterator[MoveRow]:
    logit = trial.model.logits(rows.features[trial.test])
    baselines = {name: _rates(cells, trial) for name, cells in _cells(rows, trial.train).items()}
    is_visit = rows.moments.is_visit[trial.test]
    every = np.ones(len(trial.test), np.bool_)
    for moments, keep in (("all", every), ("cut-offs", ~is_visit), ("visits", is_visit)):
        if keep.any():
            yield _row(
                trial, moments, logit[keep], trial.y[trial.test][keep], {k: v[keep] for k, v in baselines.items()}
            )


def _row(trial: Trial, moments: str, logit: FloatVector, y: Mask, baselines: Mapping[str, FloatVector]) -> MoveRow:
    p = expit(logit)
    flat = baselines["base rate"]
    worst = max(float(np.mean((flat - y) ** 2)), 1e-12)
    return MoveRow(
        *trial.model[:3],
        moments,
        len(y),
        int(y.sum()),
        log_loss(p, y),
        {name: log_loss(rate, y) for name, rate in baselines.items()},
        1.0 - float(np.mean((p - y) ** 2)) / worst,
        debiased_ece(p, y),
        _slope(logit, y),
        reliability(p, y),
    )


def log_loss(p: FloatVector, y: Mask) -> float:
    """Mean negative log-likelihood, nats."""
    return float(-np.mean(np.log(np.where(y, p, 1.0 - p))))


def reliability(p: FloatVector, y: Mask, n_bins: int = N_BINS) -> tuple[Bin, ...]:
    """At most ``n_bins`` bins of equally many rows, by ascending probability."""
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, min(n_bins, len(p))) if len(part)]
    return tuple(Bin(len(part), float(p[part].mean()), float(y[part].mean())) for part in parts)


def debiased_ece(p: FloatVector, y: Mask, n_bins: int = N_BINS) -> float:
    """Mean of the gap between mean probability and frequency over equal-mass bins, less what chance alone adds to it.

    Frequencies are noisy, so the gaps that are seen are too wide by about as much as noise of the same size widens
    them once more: the mean of a folded normal less its centre. Kumar, Liang and Ma 2019, "Verified uncertainty
    calibration", NeurIPS, section 4.2, of the l1 error; 0 where chance explains it all.
    """
    total = 0.0
    for b in reliability(p, y, n_bins):
        gap, noise = abs(b.predicted - b.observed), math.sqrt(b.observed * (1.0 - b.observed) / b.n)
        total += b.n * (2.0 * gap - _folded_mean(gap, noise))
    return max(0.0, total / max(1, len(p)))


def _folded_mean(centre: float, sd: float) -> float:
    """Mean of the absolute value of a normal variable."""
    if sd == 0.0:
        return centre
    z = centre / sd
    return sd * math.sqrt(2.0 / math.pi) * math.exp(-z * z / 2.0) + centre * math.erf(z / math.sqrt(2.0))


def _slope(logit: FloatVector, y: Mask) -> tuple[float, float, float] | None:
    if min(y.sum(), (~y).sum()) < MIN_SIDES or np.ptp(logit) == 0:
        return None
    line = fit_line(logit, y)
    return line.slope, *line.slope_interval


def _cells(rows: Rows, train: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """A small integer for each row and baseline: rows of one cell share a frequency."""
    phase = rows.phase.astype(np.int64)
    stayed = np.where(rows.since == NEVER, 0, rows.moments.as_of - rows.since)
    edges = np.quantile(stayed[train], np.arange(1, N_STAGE_TIMES) / N_STAGE_TIMES)
    silence = rows.features[:, MOVE_FEATURES.index("last_touch_age_days")]
    return {
        "base rate": np.zeros(len(rows), np.int64),
        "Markov": phase,
        "semi-Markov": phase * N_STAGE_TIMES + np.searchsorted(edges, stayed),
        "90/365 days": np.searchsorted(RULE_DAYS, silence),
    }


def _rates(cells: NDArray[np.int64], trial: Trial) -> FloatVector:
    """For each test row the frequency of its cell in the training rows."""
    y, cell = trial.y[trial.train], cells[trial.train]
    base = (y.sum() + 0.5) / (len(y) + 1.0)
    size = int(cells.max(initial=0)) + 1
    happened, n = np.bincount(cell, y, size), np.bincount(cell, minlength=size)
    rate: FloatVector = (happened + PRIOR_ROWS * base) / (n + PRIOR_ROWS)
    return rate[cells[trial.test]]


def table_of_moves(report: Iterable[MoveRow]) -> list[dict[str, Any]]:
    """Rows as plain records: a column a figure, a log-loss a baseline."""
    return [
        {
            **{name: getattr(row, name) for name in ("move", "stage", "horizon_days", "moments", "n", "base_rate")},
            "log_loss": row.log_loss,
            **{f"log_loss of {name}": value for name, value in row.log_losses.items()},
            "brier_skill": row.brier_skill,
            "ece": row.ece,
            **dict(zip(("slope", "slope_low", "slope_high"), row.slope or (None, None, None), strict=True)),
        }
        for row in report
    ]
