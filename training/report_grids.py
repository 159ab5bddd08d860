"""The tables of a report, each with the words that say what is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from features.journey import STAGES
from training.evaluate import POOL
from training.judging import BASELINES, SYSTEM, TWIN
from training.metrics import METRICS
from training.report_cells import (
    beyond_cells,
    cases,
    comparison,
    count,
    date,
    delta,
    figure,
    mean,
    number,
    reached,
    rows_by_key,
    share,
    stage_line,
)
from training.report_data import Cell, Grid
from training.segments import ALL, COLD_EVENTS, HISTORY_SIZES, MIN_CASES, SEEN_POLICY
from training.split import PROTOCOLS
from training.targets import COLD_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from training.evaluation import Evaluation
    from training.report_data import KindRow, MoveRow, Verdict

METRIC: Final = "ndcg@10"
METRIC_NAMES: Final = {
    "ndcg@10": "NDCG@10",
    "recall@20": "Recall@20",
    "hit_rate@20": "Hit rate@20",
    "mrr@20": "MRR@20",
    "precision@10": "Precision@10",
    "map@20": "MAP@20",
}
QUESTIONS: Final[Mapping[tuple[str, str], str]] = {
    ("any", "session"): "The rest of a session, reminders allowed",
    ("new", "session"): "The rest of a session, only what is new to the customer",
    ("any", "window"): "The days after the cut-off, reminders allowed",
    ("new", "window"): "The days after the cut-off, only what is new to the customer",
}
"""Task and protocol in words."""
STAGE_SLICES: Final = (*(f"stage: {name}" for name in STAGES), *(f"history: {name}" for name, _, _ in HISTORY_SIZES))
OTHER_SLICES: Final = (
    ALL,
    "customers: cold",
    "customers: warm",
    "targets: repeat",
    "targets: explore",
    "items: cold",
    "items: warm",
    "kind: product",
    "kind: content",
    "kind: action",
)
BEYOND_NAMES: Final = (
    "coverage",
    "Gini",
    "novelty, bits",
    "diversity",
    "popularity lift",
    "calibration, nats",
    "covered",
)


def accuracy_grids(evaluation: Evaluation) -> Iterator[Grid]:
    """For each question all systems by all metrics, over all cases."""
    rows = rows_by_key(evaluation)
    for (task, protocol), title in QUESTIONS.items():
        own = rows.get((task, protocol, ALL, SYSTEM, METRIC))
        if own is None:
            continue
        caption = (
            f"{cases(own)}, full catalogue, bare ranking. Means, with 95 % bootstrap intervals for ours; the last line "
            "is the paired difference to the best baseline of each column."
        )
        lines = [
            [Cell(name), *(mean(rows[task, protocol, ALL, name, metric]) for metric in METRICS)]
            for name in (SYSTEM, TWIN, *BASELINES)
            if (task, protocol, ALL, name, METRIC) in rows
        ]
        last = [delta(rows[task, protocol, ALL, SYSTEM, metric], mark=False) for metric in METRICS]
        head = ("system", *(METRIC_NAMES[metric] for metric in METRICS))
        yield Grid(title, caption, head, [*lines, [Cell("to the best baseline"), *last]])


def policy_grid(evaluation: Evaluation) -> Grid:
    """Whether touched items may be shown in each stage, and each stage by its own first metric."""
    rows = rows_by_key(evaluation)
    lines = []
    for policy in SEEN_POLICY:
        for protocol in PROTOCOLS:
            row = rows.get((policy.task, protocol, f"stage: {policy.stage}", SYSTEM, policy.metric))
            first = [
                Cell(policy.stage),
                Cell("yes" if policy.task == "any" else "no"),
                Cell(policy.why),
                Cell(protocol),
                Cell(METRIC_NAMES[policy.metric]),
            ]
            lines.append([*first, *comparison(rows, row)])
    head = ("stage", "seen shown", "because", "cases", "judged first by", "n", *_COMPARED)
    caption = (
        "The filter of seen items for each stage, the same for every system, and each stage by the metric that fits it "
        "first. Both filters are reported for every stage below."
    )
    return Grid("What counts in each stage", caption, head, lines)


_COMPARED = ("rihla", "best baseline", "ours to it", "against it")


def stage_grids(evaluation: Evaluation) -> Iterator[Grid]:
    """Per stage and history size: the full model, the same without the stage, and the best baseline."""
    rows = rows_by_key(evaluation)
    head = (
        "customers",
        "n",
        "rihla",
        TWIN,
        "stage adds",
        "knowing it",
        "best baseline",
        "ours to it",
        "against it",
    )
    caption = (
        "NDCG@10. The full model, the same model blind to the stage, and the best baseline of each line; paired "
        f"differences with 95 % intervals over customers. Lines of fewer than {MIN_CASES} cases are not judged."
    )
    for (task, protocol), title in QUESTIONS.items():
        found = [rows[key] for name in STAGE_SLICES if (key := (task, protocol, name, SYSTEM, METRIC)) in rows]
        if found:
            yield Grid(title, caption, head, [stage_line(rows, row) for row in found])


def segment_grids(evaluation: Evaluation) -> Iterator[Grid]:
    """Cold and warm, repeat and explore, kinds: each beside the best baseline of the same cases."""
    rows = rows_by_key(evaluation)
    caption = (
        f"NDCG@10. Cold customers have at most {COLD_EVENTS} touches; cold items were first seen less than {COLD_DAYS} "
        "days before, or never. Where targets are named only those count, in the same lists. Lines of fewer than "
        f"{MIN_CASES} cases are not judged."
    )
    for (task, protocol), title in QUESTIONS.items():
        found = [rows[key] for name in OTHER_SLICES if (key := (task, protocol, name, SYSTEM, METRIC)) in rows]
        if found:
            lines = [[Cell(row.slice), *comparison(rows, row)] for row in found]
            yield Grid(title, caption, ("slice", "n", *_COMPARED), lines)


def ceiling_grid(evaluation: Evaluation) -> Grid:
    """How much of what was touched is proposed at all, and how much of that is ranked high enough."""
    rows = rows_by_key(evaluation)
    lines = []
    for task, protocol in QUESTIONS:
        for name in (ALL, *STAGE_SLICES[: len(STAGES)], "items: cold"):
            pool, own = (rows.get((task, protocol, name, *of)) for of in ((POOL, "recall@pool"), (SYSTEM, "recall@20")))
            size = rows.get((task, protocol, name, POOL, "n_candidates"))
            if pool and own and size:
                cells = [number(f"{size.value.mean:,.0f}"), share(pool), share(own), reached(own, pool)]
                lines.append([Cell(f"{task}, {protocol}"), Cell(name), count(pool), *cells])
    caption = (
        "Share of a case's targets that any source proposes: no ranking of these candidates can do better. Beside it "
        "the share within the first 20 ranks."
    )
    head = ("task, cases", "slice", "n", "candidates", "recall of the candidates", "recall@20", "of the ceiling")
    return Grid("Candidates are the ceiling", caption, head, lines)


def beyond_grids(evaluation: Evaluation) -> Iterator[Grid]:
    """What the first ten ranks of every system do beside hitting."""
    caption = (
        "First ten ranks. Coverage: share of the catalogue in any list. Gini: 0 all items shown alike, 1 always the "
        "same. Novelty: bits of surprise, more is rarer. Diversity: share of a list's pairs that differ in category. "
        "Popularity lift: how much more popular than the customers' own past. Calibration: divergence from the "
        "customer's own mix of categories, 0 is the same mix. Covered: customers who get any item."
    )
    for (task, protocol), title in QUESTIONS.items():
        found = [r for r in evaluation.beyond if (r.task, r.protocol) == (task, protocol) and r.n_cases]
        found = [row for row in found if row.slice == ALL or row.system == SYSTEM]
        lines = [
            [
                Cell(row.system if row.slice == ALL else f"{row.system}, {row.slice.removeprefix('stage: ')}"),
                number(f"{row.n_cases:,}"),
                *beyond_cells(row.figures),
            ]
            for row in sorted(found, key=lambda row: row.slice != ALL)
        ]
        if lines:
            yield Grid(title, caption, ("system", "n", *BEYOND_NAMES), lines)


def origin_grid(evaluation: Evaluation) -> Grid:
    """Which cut-offs were judged."""
    lines = [
        [Cell(str(at)), Cell(date(o.start)), Cell(date(o.end)), number(f"{o.n_cases:,}")]
        for at, o in enumerate(evaluation.origins, 1)
    ]
    caption = (
        "Each origin is a model of its own: arrays, vocabulary, popularity and catalogue are from before its cut-off. "
        "What is tuned was tuned before the first of them."
    )
    return Grid("Origins", caption, ("origin", "fitted on what is before", "judged until", "cases"), lines)


def move_grid(moves: Sequence[MoveRow]) -> Grid:
    """Log-loss of every move beside its baselines, and its calibration."""
    names = list(dict.fromkeys(name for row in moves for name in row.baselines))
    head = (
        "move",
        "from",
        "days",
        "n",
        "share",
        "log-loss",
        *(f"of {name}" for name in names),
        "Brier skill",
        "ECE",
        "slope",
    )
    lines = []
    for row in moves:
        best = min(row.baselines.values(), default=float("inf"))
        tone: Verdict = "better" if row.log_loss < best else "worse"
        others = [number(figure(row.baselines.get(name))) for name in names]
        slope = f"{row.slope.mean:.2f} [{row.slope.low:.2f}, {row.slope.high:.2f}]"
        own = Cell(f"{row.log_loss:.4f}", is_number=True, tone=tone if row.n >= MIN_CASES else "not judged")
        first = [Cell(row.move), Cell(row.stage), number(f"{row.horizon_days:g}"), number(f"{row.n:,}")]
        last = [number(f"{row.brier_skill:+.3f}".replace("-", "−")), number(f"{row.ece:.3f}"), number(slope)]
        lines.append([*first, number(f"{row.base_rate:.1%}"), own, *others, *last])
    caption = (
        "The chance of each move within its horizon on a later slice of time. Log-loss in nats, less is better; Brier "
        "skill above 0 beats the base rate; a calibration slope whose interval holds 1 says what it means."
    )
    return Grid("Moves", caption, head, lines)


def kind_grid(kinds: Sequence[KindRow]) -> Grid:
    """Predicted probability against observed share, a line a kind."""
    lines = [
        [Cell(row.kind), number(f"{row.n:,}"), number(f"{row.predicted:.2%}"), number(f"{row.observed:.2%}")]
        for row in kinds
    ]
    caption = (
        "Mean predicted probability of a touch against the share that was touched: kinds on one scale agree in both."
    )
    return Grid("One scale for all kinds", caption, ("kind", "n", "predicted", "observed"), lines)
