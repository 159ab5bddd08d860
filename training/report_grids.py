"""The tables of a report, each with the words that say what is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from features.journey import STAGES
from features.moments import to_datetime
from recommender.blend import TASKS
from training.beyond import Beyond
from training.evaluate import BASELINES, MIN_CASES, POOL, SYSTEM, TWIN
from training.metrics import METRICS
from training.report_data import Cell, Grid, verdict
from training.segments import ALL, COLD_EVENTS, HISTORY_SIZES, SEEN_POLICY
from training.split import PROTOCOLS
from training.targets import COLD_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from training.evaluate import Evaluation, Row
    from training.metrics import Interval
    from training.report_data import KindRow, MoveRow

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
    "coverage of the catalogue",
    "Gini of exposure",
    "novelty, bits",
    "diversity of a list",
    "popularity lift",
    "calibration, nats",
    "customers covered",
)
Rows = dict[tuple[str, str, str, str, str], "Row"]


def rows_by_key(evaluation: Evaluation) -> Rows:
    """Rows by task, protocol, segment, system and metric; those without cases are left out."""
    return {row[:5]: row for row in evaluation.rows if row.n_cases}


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
            [Cell(name), *(_mean(rows[task, protocol, ALL, name, metric]) for metric in METRICS)]
            for name in (SYSTEM, TWIN, *BASELINES)
            if (task, protocol, ALL, name, METRIC) in rows
        ]
        last = [_delta(rows[task, protocol, ALL, SYSTEM, metric], mark=False) for metric in METRICS]
        head = ("system", *(METRIC_NAMES[metric] for metric in METRICS))
        yield Grid(title, caption, head, [*lines, [Cell("to the best baseline"), *last]])


def policy_grid(evaluation: Evaluation) -> Grid:
    """Whether touched items may be shown in each stage, and each stage by its own first metric."""
    rows = rows_by_key(evaluation)
    lines = []
    for policy in SEEN_POLICY:
        for protocol in PROTOCOLS:
            row = rows.get((policy.task, protocol, f"stage: {policy.stage}", SYSTEM, policy.metric))
            head = [
                Cell(policy.stage),
                Cell("yes" if policy.task == "any" else "no"),
                Cell(policy.why),
                Cell(protocol),
                Cell(METRIC_NAMES[policy.metric]),
            ]
            lines.append([*head, *_comparison(rows, row)])
    head = ("stage", "touched items shown", "because", "cases", "judged first by", "n", *_COMPARED)
    caption = (
        "The filter of seen items for each stage, the same for every system, and each stage by the metric that fits it "
        "first. Both filters are reported for every stage below."
    )
    return Grid("What counts in each stage", caption, head, lines)


_COMPARED = ("rihla", "best baseline", "its value", "difference", "says")


def stage_grids(evaluation: Evaluation) -> Iterator[Grid]:
    """Per stage and history size: the full model, the same without the stage, and the best baseline."""
    rows = rows_by_key(evaluation)
    head = ("customers", "n", "rihla", TWIN, "what the stage adds", "it", "best baseline", "its value", "ours to it", "says")
    caption = (
        "NDCG@10. The full model, the same model blind to the stage, and the best baseline of each line; paired "
        f"differences with 95 % intervals over customers. Lines of fewer than {MIN_CASES} cases are not judged."
    )
    for (task, protocol), title in QUESTIONS.items():
        found = [rows[key] for name in STAGE_SLICES if (key := (task, protocol, name, SYSTEM, METRIC)) in rows]
        if found:
            yield Grid(title, caption, head, [_stage_line(rows, row) for row in found])


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
            lines = [[Cell(row.slice), *_comparison(rows, row)] for row in found]
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
                cells = [_number(f"{size.value.mean:,.0f}"), _share(pool), _share(own), _reached(own, pool)]
                lines.append([Cell(f"{task}, {protocol}"), Cell(name), _count(pool), *cells])
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
        "customer's own mix of categories, 0 is the same mix."
    )
    for (task, protocol), title in QUESTIONS.items():
        found = [r for r in evaluation.beyond if (r.task, r.protocol) == (task, protocol) and r.n_cases]
        found = [row for row in found if row.slice == ALL or row.system == SYSTEM]
        lines = [
            [
                Cell(row.system if row.slice == ALL else f"{row.system}, {row.slice.removeprefix('stage: ')}"),
                _number(f"{row.n_cases:,}"),
                *_beyond_cells(row.figures),
            ]
            for row in sorted(found, key=lambda row: row.slice != ALL)
        ]
        if lines:
            yield Grid(title, caption, ("system", "n", *BEYOND_NAMES), lines)


def origin_grid(evaluation: Evaluation) -> Grid:
    """Which cut-offs were judged."""
    lines = [
        [Cell(str(number)), Cell(date(o.start)), Cell(date(o.end)), _number(f"{o.n_cases:,}")]
        for number, o in enumerate(evaluation.origins, 1)
    ]
    caption = (
        "Each origin is a model of its own: arrays, vocabulary, popularity and catalogue from before its cut-off alone. "
        "What is tuned was tuned before the first of them."
    )
    return Grid("Origins", caption, ("origin", "fitted on what is before", "judged until", "cases"), lines)


def move_grid(moves: Sequence[MoveRow]) -> Grid:
    """Log-loss of every move beside its baselines, and its calibration."""
    names = list(dict.fromkeys(name for row in moves for name in row.baselines))
    head = ("move", "from", "days", "n", "base rate", "log-loss", *names, "Brier skill", "ECE", "slope")
    lines = []
    for row in moves:
        best = min(row.baselines.values(), default=float("inf"))
        tone = "better" if row.log_loss < best else "worse"
        others = [_number(_figure(row.baselines.get(name))) for name in names]
        slope = f"{row.slope.mean:.2f} [{row.slope.low:.2f}, {row.slope.high:.2f}]"
        own = Cell(f"{row.log_loss:.4f}", is_number=True, tone=tone if row.n >= MIN_CASES else "not judged")
        first = [Cell(row.move), Cell(row.stage), _number(f"{row.horizon_days:g}"), _number(f"{row.n:,}")]
        last = [_number(f"{row.brier_skill:+.3f}"), _number(f"{row.ece:.3f}"), _number(slope)]
        lines.append([*first, _number(f"{row.base_rate:.1%}"), own, *others, *last])
    caption = (
        "The chance of each move within its horizon on a later slice of time. Log-loss in nats, less is better; Brier "
        "skill above 0 beats the base rate; a calibration slope whose interval holds 1 says what it means."
    )
    return Grid("Moves", caption, head, lines)


def kind_grid(kinds: Sequence[KindRow]) -> Grid:
    """Predicted probability against observed share, a line a kind."""
    lines = [
        [Cell(row.kind), _number(f"{row.n:,}"), _number(f"{row.predicted:.2%}"), _number(f"{row.observed:.2%}")]
        for row in kinds
    ]
    caption = "Mean predicted probability of a touch against the share that was touched: kinds on one scale agree in both."
    return Grid("One scale for all kinds", caption, ("kind", "n", "predicted", "observed"), lines)


def cases(row: Row) -> str:
    """How many cases of how many customers."""
    return f"{row.n_cases:,} cases of {row.n_customers:,} customers"


def date(at: int) -> str:
    """Day and minute of a moment in UTC."""
    return f"{to_datetime(at):%Y-%m-%d %H:%M}"


def _stage_line(rows: Rows, row: Row) -> list[Cell]:
    twin = rows[row.task, row.protocol, row.slice, TWIN, row.metric]
    says = verdict(row.stage_gain, is_judged=row.is_judged)
    words = {"better": "pays", "worse": "costs", "level": "no difference", "not judged": "not judged"}
    gain = Cell(_signed(row.stage_gain), is_number=True, tone=says, mark=row.stage_gain)
    own, *others = _comparison(rows, row)[1:]
    return [Cell(row.slice), _count(row), own, _mean(twin), gain, Cell(words[says], tone=says), *others]


def _comparison(rows: Rows, row: Row | None) -> list[Cell]:
    """Number of cases, ours, the best baseline, the difference and what it says; for no cases, that there are none."""
    if row is None:
        return [_number("0"), *[Cell("")] * 4, Cell("no cases", tone="not judged")]
    best = rows.get((row.task, row.protocol, row.slice, row.best, row.metric))
    says = verdict(row.delta, is_judged=row.is_judged)
    value = Cell("") if best is None else _mean(best)
    return [_count(row), _mean(row), Cell(row.best), value, _delta(row), Cell(says, tone=says)]


def _delta(row: Row, *, mark: bool = True) -> Cell:
    says = verdict(row.delta, is_judged=row.is_judged)
    return Cell(_signed(row.delta), is_number=True, tone=says, mark=row.delta if mark else None)


def _mean(row: Row) -> Cell:
    ours = f" [{row.value.low:.3f}, {row.value.high:.3f}]" if row.system == SYSTEM else ""
    return _number(f"{row.value.mean:.4f}{ours}")


def _share(row: Row) -> Cell:
    return _number(f"{row.value.mean:.1%} [{row.value.low:.1%}, {row.value.high:.1%}]")


def _reached(own: Row, pool: Row) -> Cell:
    return _number(f"{own.value.mean / pool.value.mean:.0%}" if pool.value.mean else "")


def _count(row: Row) -> Cell:
    return _number(f"{row.n_cases:,}{'' if row.is_judged else ' *'}")


def _signed(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.mean:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def _beyond_cells(figures: Beyond) -> list[Cell]:
    shares = {"coverage", "diversity", "popularity_lift", "user_coverage"}
    forms = {name: "{:.0%}" if name in shares else "{:.2f}" for name in Beyond._fields} | {"popularity_lift": "{:+.0%}"}
    return [_number("" if v != v else forms[name].format(v)) for name, v in figures._asdict().items()]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _number(text: str) -> Cell:
    return Cell(text, is_number=True)
