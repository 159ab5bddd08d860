"""What an evaluation says, in plain words: the first thing on the page, and the last thing to be written by hand."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from training.evaluate import POOL
from training.judging import BASELINES, SYSTEM
from training.report_cells import rows_by_key
from training.report_data import verdict
from training.report_grids import METRIC, QUESTIONS, STAGE_SLICES
from training.segments import ALL, MIN_CASES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.evaluation import Evaluation, Row
    from training.report_cells import Rows
    from training.report_data import MoveRow, ReportData, Verdict

_OURS: Final = {"better": "better than", "level": "level with", "worse": "below", "not judged": "not judged against"}


METHOD: Final = (
    "Every case is a customer at a moment. The model knew nothing at or after its cut-off, and the customer's own "
    "state holds what happened before the moment and nothing later.\n"
    "Every list is ranked over the full catalogue known at the cut-off by the code that serves, without sampled "
    "negatives and without serving rules. A target that the catalogue did not know yet counts as missed.\n"
    "A baseline is one of our own sources alone, tuned on the same window. The best is picked on the very cases that "
    "are shown, which favours it.\n"
    "Stage removed is the same model with the weights of each stage replaced by their mean over stages, by cases.\n"
    "Intervals are 95 % percentile bootstrap intervals over customers, 2,000 draws; differences are paired. Many "
    "lines are shown and none is corrected for that: one level line in forty strays to either side by chance.\n"
    "Ties are broken by score and then by item, so equal data gives equal tables."
).splitlines()


def sentences(data: ReportData) -> Iterator[str]:
    """A few sentences, the most important first."""
    rows = rows_by_key(data.evaluation)
    yield _extent(data.evaluation, data.n_items)
    yield from _against_baselines(rows)
    yield from _by_slice(rows)
    yield from _stage(rows)
    yield from _ceiling(rows)
    yield from _cold(rows)
    yield from _moves(data.moves)


def _extent(evaluation: Evaluation, n_items: int) -> str:
    n_cases = sum(origin.n_cases for origin in evaluation.origins)
    n = len(evaluation.origins)
    origins = "one cut-off" if n == 1 else f"{n} cut-offs"
    return (
        f"{n_cases:,} cases after {origins} were ranked over the whole catalogue of {n_items:,} items, by models that "
        f"knew nothing later. A slice of fewer than {MIN_CASES} cases is shown and not judged."
    )


def _against_baselines(rows: Rows) -> Iterator[str]:
    n = len({key[3] for key in rows} & set(BASELINES))
    for (task, protocol), question in QUESTIONS.items():
        row = rows.get((task, protocol, ALL, SYSTEM, METRIC))
        if row is None or row.delta is None:
            continue
        before = row.value.mean - row.delta.mean
        change = f" ({row.delta.mean / before:+.1%})".replace("-", "−") if before > 0 else ""
        says = verdict(row.delta, is_judged=row.is_judged)
        yield (
            f"{question}: {_OURS[says]} {row.best}, the best of {n} baselines; NDCG@10 is {row.value.mean:.3f} "
            f"and {before:.3f}{change}, the difference between {row.delta.low:+.3f} and {row.delta.high:+.3f}.".replace(
                "-0", "−0"
            )
        )


def _by_slice(rows: Rows) -> Iterator[str]:
    found = [row for row in _own(rows) if row.slice != ALL and row.is_judged]
    worse = [row for row in found if verdict(row.delta, is_judged=True) == "worse"]
    counts = Counter(verdict(row.delta, is_judged=True) for row in found)
    if found:
        yield (
            f"Of {len(found)} slices that are large enough, {counts['better']} are better than their own best "
            f"baseline, {counts['level']} level and {counts['worse']} worse{_named(worse)}."
        )


def _stage(rows: Rows) -> Iterator[str]:
    found = [row for row in _own(rows) if row.slice in STAGE_SLICES and row.is_judged]
    by: dict[Verdict, list[Row]] = {"better": [], "worse": [], "level": [], "not judged": []}
    for row in found:
        by[verdict(row.stage_gain, is_judged=True)].append(row)
    if not found:
        yield "Whether knowing the stage pays cannot be said: no stage or history size has enough cases."
    elif not by["better"] and not by["worse"]:
        yield f"Knowing the stage makes no measurable difference in any of {len(found)} slices by stage or history."
    else:
        yield (
            f"Knowing the stage pays in {len(by['better'])} of {len(found)} slices by stage or "
            f"history{_named(by['better'])}; costs in {len(by['worse'])}{_named(by['worse'])}; and makes no "
            f"measurable difference in {len(by['level'])}."
        )


def _ceiling(rows: Rows) -> Iterator[str]:
    for protocol, when in (("session", "the rest of a session"), ("window", "the days after")):
        pool = rows.get(("any", protocol, ALL, POOL, "recall@pool"))
        own = rows.get(("any", protocol, ALL, SYSTEM, "recall@20"))
        if pool and own:
            yield (
                f"The sources propose {pool.value.mean:.0%} of what is touched in {when}, and the first 20 ranks hold "
                f"{own.value.mean:.0%}: {_where_lost(own.value.mean, pool.value.mean)}."
            )


def _where_lost(found: float, proposed: float) -> str:
    in_ranking, in_retrieval = proposed - found, 1 - proposed
    return (
        "more is lost in ranking than in retrieval"
        if in_ranking > in_retrieval
        else "more is lost in retrieval than in ranking"
    )


def _cold(rows: Rows) -> Iterator[str]:
    pool = rows.get(("any", "window", "items: cold", POOL, "recall@pool"))
    own = rows.get(("any", "window", "items: cold", SYSTEM, "recall@20"))
    if pool and own:
        few = "" if pool.is_judged else f" ({pool.n_cases} cases, not judged)"
        yield (
            f"Of items that were new to the shop the sources propose {pool.value.mean:.0%} and the first 20 ranks hold "
            f"{own.value.mean:.0%}{few}."
        )


def _moves(moves: Sequence[MoveRow]) -> Iterator[str]:
    judged = [row for row in moves if row.n >= MIN_CASES]
    if judged:
        better = sum(row.log_loss < min(row.baselines.values(), default=float("inf")) for row in judged)
        sound = sum(row.slope.low <= 1 <= row.slope.high for row in judged)
        yield (
            f"Moves with enough customers: {len(judged)}; told better than by every baseline: {better}; calibrated, "
            f"as far as the slope can say: {sound}."
        )


def _own(rows: Rows) -> list[Row]:
    return [row for row in rows.values() if row.system == SYSTEM and row.metric == METRIC]


def _named(rows: Sequence[Row], most: int = 4) -> str:
    """Slices by name in brackets, the first few."""
    names = [f"{row.slice} ({row.task}, {row.protocol})" for row in rows[:most]]
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f": {'; '.join(names)}{more}" if names else ""
