"""Rolling origins: the whole procedure repeated at several cut-offs, each fitted on its past alone.

What is tuned is tuned once, before the first origin; arrays, vocabulary, popularity and catalogue are made anew at
each (Tashman 2000; Ji, Sun, Zhang and Li 2023 on what leaks otherwise).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from features.errors import InputError, InvalidData
from features.events import DAY_US
from features.moments import to_text
from recommender.engine import sources_of
from training.evaluate import judge
from training.fit import Recipe, fit
from training.job import MIN_CASES, Sizes, engine_of, load, split
from training.kinds import kind_rows
from training.models import read_note
from training.pooling import pooled
from training.report_data import ReportData
from training.split import MAX_WINDOW_DAYS, WINDOW_SHARE, Windows, cases_of, windows_between
from training.spread import blas_threads
from training.targets import facts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.journey import Journey
    from recommender.engine import Engine
    from training.evaluation import Evaluation
    from training.job import Progress, Taught
    from training.load import Data
    from training.pooling import Judged
    from training.report_data import KindRow

TEST_SHARE: Final = 0.4
"""Share of the time that several origins may test on together."""
MAX_ORIGINS: Final = 12
QUICK: Final = Sizes(validation=600, test=4_000)


class Plan(NamedTuple):
    """``validation`` and ``until`` in microseconds; ``origins`` ascending, each judged up to the next."""

    validation: int
    origins: tuple[int, ...]
    until: int


def plan_of(start: int, until: int, n: int) -> Plan:
    """Cut-offs of ``n`` origins in a span of time, microseconds.

    One origin is the test window that training has; several share the last 40 % of the time, at most 30 days
    each, with as long a validation window before the first as training has.
    """
    if n == 1:
        validation, test, _ = windows_between(start, until)
        return Plan(validation, (test,), until)
    length = min(int((until - start) * TEST_SHARE / n), MAX_WINDOW_DAYS * DAY_US)
    origins = tuple(until - length * (n - number) for number in range(n))
    before = min(int((origins[0] - start) * WINDOW_SHARE), MAX_WINDOW_DAYS * DAY_US)
    return Plan(origins[0] - before, origins, until)


def evaluate_directory(
    path: Path,
    *,
    journey: Journey,
    until: int | None,
    n_origins: int,
    sizes: Sizes = QUICK,
    seed: int = 0,
    progress: Progress | None = None,
) -> ReportData:
    """Judge the training procedure on a data directory over rolling origins.

    Parameters
    ----------
    sizes
        At most how many cases are drawn for tuning, and for all origins together.

    Raises
    ------
    InputError
        More origins than make sense, or too few customers with a history to judge anything.
    """
    if not 1 <= n_origins <= MAX_ORIGINS:
        raise InputError(f"--origins: expected 1 to {MAX_ORIGINS}, got {n_origins}")
    say = progress or (lambda _name, _share: None)
    with blas_threads(1):
        data = load(path, until, say)
        plan = plan_of(data.start, data.until, n_origins)
        recipe = recorded_recipe(path, data.start, plan.origins[0])
        windows = Windows(plan.validation, plan.origins[0], plan.until)
        taught = split(data, windows, journey, say, n=sizes.validation, seed=seed, recipe=recipe)
        evaluation, engine, kinds = _rolled(data, plan, taught, journey, n=sizes.test, say=lambda x: say("evaluate", x))
    facts = {
        "customers": f"{len(data.touches.customer_ids):,}",
        "touches": f"{len(data.touches):,}",
        "recipe": "tuned before the first origin" if recipe is None else "of the model in model.json",
        "sources": ", ".join(engine.sources),
    }
    title, n_items = f"Evaluation of {path.resolve().name}", len(engine.items)
    return ReportData(title, evaluation, engine.blend, n_items, facts, kinds=kinds)


def recorded_recipe(path: Path, start: int, before: int) -> Recipe | None:
    """Recipe of the model in ``DIR/model.json``; None without one, or where its tuning saw beyond ``before``."""
    try:
        note = read_note(path)
        facts = msgspec.json.decode((Path(note.bundle) / "facts.json").read_bytes())
        has_seen_more = windows_between(start, note.until).test > before
        return None if has_seen_more else msgspec.convert(facts["recipe"], Recipe)
    except (InvalidData, OSError, LookupError, msgspec.MsgspecError):
        return None


def model_at(data: Data, taught: Taught, journey: Journey, at: int) -> Engine:
    """The model that would have been made at a moment: what was learned before, fitted on the past of ``at`` alone."""
    arrays = fit(data.material(at), taught.recipe)
    return engine_of(arrays, taught.learned(sources_of(arrays)), journey, at)


def _rolled(
    data: Data, plan: Plan, taught: Taught, journey: Journey, *, n: int, say: Callable[[float], None]
) -> tuple[Evaluation, Engine, tuple[KindRow, ...]]:
    """Tables over all origins, and of the last one the engine and what its scale is worth."""
    judged: list[Judged] = []
    n_each = max(1, n // len(plan.origins))
    for number, (start, end) in enumerate(pairwise((*plan.origins, plan.until))):
        cases = cases_of(data, start, end, journey.schema, n=n_each, seed=taught.recipe.seed + 1 + number)
        engine = model_at(data, taught, journey, start)
        judged.append(judge(engine, cases, facts_of(data, start), start, end))
        say((number + 1) / len(plan.origins))
    if sum(one.origin.n_cases for one in judged) < MIN_CASES:
        raise InvalidData(
            f"{data.path}: expected {MIN_CASES} cases after {to_text(plan.origins[0])} to judge anything by"
        )
    return pooled(judged), engine, kind_rows(engine, cases)
