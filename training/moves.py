"""Moves: which the data is long enough for, their rows, their models, and how these did on later customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from features.events import DAY_US
from features.journey import STAGES
from recommender.move_features import Alive
from recommender.moves import MoveModel, pack_moves
from training.deeds import Deeds, read_deeds
from training.fitting.bgnbd import Histories, fit_bgnbd
from training.fitting.move_models import Slice, Target, fit_move
from training.move_report import MoveRow, Trial, evaluate_moves
from training.move_rows import Rows, draw_moments, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.journey import Journey, Stage
    from training.load import Data

    IdxVector = NDArray[np.int64]

SPAN_SHARE: Final = 0.25
"""A horizon may be at most this share of the history."""
TEST_SHARE: Final = 0.1
"""Share of the history, at least a day, whose moments are kept for the report."""
FIT_SHARE: Final = 0.7
"""Share of the training rows, by time, that shapes are fitted on; the later rest calibrates."""
MIN_SIDES: Final = 30
"""So many customers' rows of either outcome a slice must hold."""
MIN_TEST_SIDES: Final = 10
MIN_BUYERS: Final = 50
USUAL: Final = Alive(0.5, 60.0, 0.5, 3.0)
"""An ordinary shop's BG/NBD parameters, days, for a log with too few orders to fit them."""


class Spec(NamedTuple):
    """A named, observed event: the stages it starts from and the horizons it may have, the preferred one first.

    ``is_absence`` where the move is that nothing of the signal happens.
    """

    move: str
    stages: tuple[Stage, ...]
    signal: str
    horizons_days: tuple[int, ...]
    is_absence: bool = False


SPECS: Final = (
    Spec("first_intent", ("awareness", "engagement"), "intent", (7, 1)),
    Spec("first_order", ("engagement",), "order", (7, 1)),
    Spec("review", ("transaction",), "review", (14, 7)),
    Spec("next_order", ("transaction", "retention"), "order", (30, 14)),
    Spec("lapse", ("retention",), "touch", (90, 60, 30), is_absence=True),
)


class LearnedMoves(NamedTuple):
    """Arrays of the bundle (none where no move could be learned), the report, and why moves were left out."""

    models: tuple[MoveModel, ...]
    arrays: dict[str, NDArray[np.generic]]
    report: tuple[MoveRow, ...]
    left_out: tuple[str, ...]


def learn_moves(data: Data, journey: Journey, *, seed: int = 0) -> LearnedMoves:
    """Learn every move that the data carries, strictly before ``data.until``.

    A move's model is first fitted on moments whose horizon ends before the report's moments begin. Where it beats
    every baseline on these, it is fitted anew on all moments whose horizon ends before ``data.until``.
    """
    deeds = read_deeds(data.lines, journey.schema)
    start = int(deeds.at.min(initial=data.until))
    targets, left_out = targets_of(data.until - start)
    if not targets or not len(deeds.at):
        return LearnedMoves((), {}, (), tuple(left_out))
    spans = {target: span_of(target.horizon_days, start, data.until) for target in targets}
    alive = _alive(deeds, min(span.train_end for span in spans.values()))
    moments = draw_moments(deeds, list(spans.values()), journey, np.random.default_rng(seed))
    rows = rows_of(data, deeds, moments, journey, alive)
    trials = []
    models = []
    for target, span in spans.items():
        found = _learn(rows, target, span, seed)
        if isinstance(found, str):
            left_out.append(f"{target.move} from {target.stage}: {found}")
        else:
            trials.append(found[0])
            models.append(found[1])
    return LearnedMoves(
        tuple(models),
        pack_moves(tuple(models), alive) if models else {},
        evaluate_moves(rows, trials),
        tuple(left_out),
    )


class Span(NamedTuple):
    """How the history is cut for one horizon, microseconds.

    Training moments lie in ``[start, train_end)``, those of the report in ``[test, end)``. What follows the first
    is over at ``test``, what follows the second at ``end`` plus the horizon: the end of the history.
    """

    start: int
    train_end: int
    test: int
    end: int


def span_of(horizon_days: int, start: int, until: int) -> Span:
    """How a history is cut for one horizon."""
    horizon, length = horizon_days * DAY_US, until - start
    test = until - horizon - max(DAY_US, int(length * TEST_SHARE))
    return Span(start + length // 20, test - horizon, test, until - horizon)


def targets_of(length: int) -> tuple[list[Target], list[str]]:
    """The moves that a history of so many microseconds is long enough for, and a sentence for each other one."""
    targets, left_out = [], []
    for spec in SPECS:
        horizons = [h for h in spec.horizons_days if h * DAY_US <= length * SPAN_SHARE]
        if horizons:
            targets += [Target(spec.move, stage, horizons[0], spec.signal, spec.is_absence) for stage in spec.stages]
        else:
            need = min(spec.horizons_days) / SPAN_SHARE
            left_out.append(f"{spec.move}: needs {need:.0f} days of history, there are {length / DAY_US:.0f}")
    return targets, left_out


def happened(rows: Rows, target: Target) -> NDArray[np.bool_]:
    """Whether the move came within its horizon, for each row."""
    came: NDArray[np.bool_] = rows.next_at[target.signal] < rows.moments.as_of + target.horizon_days * DAY_US
    return ~came if target.is_absence else came


def _learn(rows: Rows, target: Target, span: Span, seed: int) -> tuple[Trial, MoveModel] | str:
    """The judged model's trial and the final model, or why there is none."""
    y, as_of = happened(rows, target), rows.moments.as_of
    is_open = rows.stage == STAGES.index(target.stage)
    if target.move == "first_intent":
        is_open &= ~rows.has_intent
    train = np.flatnonzero(is_open & (as_of < span.train_end))
    test = _one_a_customer(rows, np.flatnonzero(is_open & (as_of >= span.test) & (as_of < span.end)), seed)
    if (few := _too_few(y[train], MIN_SIDES)) or (few := _too_few(y[test], MIN_TEST_SIDES)):
        return few
    judged = _fit(rows, target, train, y, seed)
    final = _fit(rows, target, np.flatnonzero(is_open & (as_of < span.end)), y, seed)
    if judged is None or final is None:
        return "what is learned earlier does not hold later"
    trial = Trial(judged, train, test, y)
    figures = evaluate_moves(rows, [trial])[0]
    if not figures.is_better or figures.brier_skill <= 0:
        return f"no better than {figures.best_baseline} on {figures.n:,} later customers"
    return trial, final


def _fit(rows: Rows, target: Target, idx: IdxVector, y: NDArray[np.bool_], seed: int) -> MoveModel | None:
    as_of = rows.moments.as_of[idx]
    is_earlier = as_of < np.quantile(as_of, FIT_SHARE)
    earlier, later = idx[is_earlier], idx[~is_earlier]
    if _too_few(y[earlier], MIN_SIDES // 2) or _too_few(y[later], MIN_SIDES // 4):
        return None
    slices = (Slice(rows.features[part], y[part]) for part in (earlier, later))
    return fit_move(target, *slices, seed=seed)


def _too_few(y: NDArray[np.bool_], least: int) -> str:
    """Why there is nothing to learn from; empty where there is."""
    n_yes = int(y.sum())
    if min(n_yes, len(y) - n_yes) >= least:
        return ""
    return f"{n_yes:,} of {len(y):,} cases had it; at least {least} with and without it are needed"


def _one_a_customer(rows: Rows, idx: IdxVector, seed: int) -> IdxVector:
    """One row of each customer, any of them, so that the rows of a report are independent."""
    shuffled = np.random.default_rng(seed).permutation(idx)
    _, first = np.unique(rows.moments.customer[shuffled], return_index=True)
    return np.sort(shuffled[first])


def _alive(deeds: Deeds, until: int) -> Alive:
    """BG/NBD parameters of the orders before a moment, days."""
    n, first, last = deeds.order_days(until)
    if len(n) < MIN_BUYERS or not (n > 1).any():
        return USUAL
    histories = Histories((n - 1).astype(float), (last - first).astype(float), (until // DAY_US - first).astype(float))
    return fit_bgnbd(histories, ridge=1e-4).parameters
