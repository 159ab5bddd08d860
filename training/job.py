"""The training job: load → split → fit → evaluate → publish, one function an arrow."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from recommender.blend import TASKS, Blend
from recommender.bundle import BundleContent, BundleMeta, write_bundle
from recommender.engine import Engine, Model, sources_of
from recommender.golden import N_GOLDEN, golden_of
from training.evaluate import evaluate
from training.fit import Recipe, fit, left_out
from training.kinds import kind_rows
from training.learning import Learned, Lesson, Verdict, judge, learn, lesson_of, lesson_with
from training.load import Data
from training.models import without_credentials
from training.move_report import table_of_moves
from training.moves import LearnedMoves, learn_moves
from training.plots import figures_of
from training.recipes import saved_recipe
from training.report_data import ReportData
from training.report_html import page_of
from training.report_moves import shown_moves
from training.split import Windows, cases_of, states_of, windows_of
from training.spread import blas_threads
from training.targets import facts_of
from training.tune import Tuner, tune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from features.journey import Journey
    from training.evaluation import Evaluation
    from training.registry import Registry
    from training.report_data import KindRow

    Progress = Callable[[str, float], None]
    Arrays = dict[str, NDArray[np.generic]]

MIN_CASES: Final = 30
"""Below so many validation cases nothing is tuned and the prior weights serve."""


CASES_OF_A_LESSON: Final = 2
"""Cases of a lesson to one that settings are tuned on: settings are few, weights and trees are many."""
N_EARLIER: Final = 3
"""Cut-offs before the validation window that the blend and the ranker learn from, where the data is long enough."""


class Sizes(NamedTuple):
    """At most how many cases are drawn to tune on and to test on; fewer is faster and less certain."""

    validation: int = 1_500
    test: int = 2_000


DEFAULT_SIZES: Final = Sizes()


@dataclass(frozen=True)
class Taught:
    """What came before the test window taught: a recipe, the lessons, and what serves where."""

    recipe: Recipe
    lessons: tuple[Lesson, ...] = ()
    verdict: Verdict = field(default_factory=Verdict.none)

    def learned(self, sources: tuple[str, ...], *, with_blind: bool = True) -> Learned:
        """Weights, ranker and scale for some sources; the prior weights where there was nothing to learn from."""
        if not self.lessons:
            return Learned(Blend.prior(sources), {}, {})
        return learn(self.lessons, sources, self.verdict, seed=self.recipe.seed, with_blind=with_blind)


@dataclass(frozen=True)
class Fitted:
    """A model ready to be published, with how it did on the test window; None where that holds too little."""

    engine: Engine
    arrays: Arrays
    recipe: Recipe
    evaluation: Evaluation | None
    left_out: tuple[str, ...]
    moves: LearnedMoves
    kinds: tuple[KindRow, ...] = ()


@dataclass(frozen=True)
class Published:
    """Where a model went."""

    version: int
    bundle: Path
    content_digest: str
    fitted: Fitted


def train(  # noqa: PLR0913 - each is an option of the command
    path: Path,
    *,
    registry: Registry,
    until: int | None,
    journey: Journey,
    seed: int = 0,
    progress: Progress | None = None,
    signing_key: bytes | None = None,
    sizes: Sizes = DEFAULT_SIZES,
) -> Published:
    """Train on a data directory strictly before ``until`` and register the result.

    Raises
    ------
    InvalidData
        ``path`` is no data directory.
    RegistryUnavailable
        The model was made and could not be registered; its bundle is kept.
    """
    say = progress or (lambda _name, _share: None)
    with blas_threads(1):
        data = load(path, until, say)
        windows = windows_of(data)
        recipe = saved_recipe(path, windows.test)
        taught = split(data, windows, journey, say, n=sizes.validation, seed=seed, recipe=recipe)
        fitted = fit_all(data, windows, taught, journey, say, n=sizes.test)
    return publish(data, fitted, registry, signing_key, say)


def load(path: Path, until: int | None, say: Progress) -> Data:
    """Read what happened before the cut-off."""
    say("load", 0.0)
    data = Data(path, until).by_rank_if_made_up()
    _ = data.touches  # read once, here, so that later steps start at once
    say("load", 1.0)
    return data


def split(  # noqa: PLR0913 - what is learned, and how much of it
    data: Data,
    windows: Windows,
    journey: Journey,
    say: Progress,
    *,
    n: int,
    seed: int,
    recipe: Recipe | None = None,
    with_verdict: bool = True,
) -> Taught:
    """Tune on ``[validation, test)``, unless a recipe is given, and learn from it and from earlier cut-offs.

    No model of a lesson saw anything of its cases. Without a verdict no ranker is taught, and the blend serves.
    """
    cases = cases_of(data, windows.validation, windows.test, journey.schema, n=n, seed=seed)
    if sum(len(touched) > 0 for touched in cases.touched) < MIN_CASES:
        return Taught(recipe or Recipe(seed=seed))
    if recipe is None:
        tuner = Tuner(data.material(windows.validation), cases, journey)
        recipe = tune(tuner, Recipe(seed=seed), progress=lambda share: say("tune", share))
    cuts = [*windows.earlier(data.start, N_EARLIER), windows.validation]
    length = windows.test - windows.validation
    lessons = []
    for number, cut in enumerate(cuts):
        n_cases = CASES_OF_A_LESSON * n
        lessons.append(lesson_of(data, cut, cut + length, recipe, journey, n=n_cases, seed=seed + number))
        say("learn", (number + 1) / (len(cuts) + 1))
    if not with_verdict:
        return Taught(recipe, tuple(lessons))
    verdict = judge(lessons, lessons[-1].pools["any"].sources, seed=seed)
    say("learn", 1.0)
    return Taught(recipe, tuple(lessons), verdict)


def fit_all(
    data: Data,
    windows: Windows,
    taught: Taught,
    journey: Journey,
    say: Progress,
    *,
    n: int,
    with_blind: bool = False,
) -> Fitted:
    """Judge the procedure on the test window, then fit on everything with what all windows taught.

    ``with_blind`` also makes the ranker that :meth:`recommender.engine.Engine.without_stage` serves with.
    """
    evaluation, kinds, taught = evaluated(data, windows, taught, journey, say, n=n)
    say("fit", 0.0)
    arrays = fit(data.material(data.until), taught.recipe)
    say("fit", 0.7)
    learned = taught.learned(sources_of(arrays), with_blind=with_blind)
    say("fit", 1.0)
    left = left_out(arrays)
    found = moves(data, journey, say, seed=taught.recipe.seed)
    arrays |= found.arrays
    engine = engine_of(arrays, learned, journey, data.until)
    return Fitted(engine, arrays | learned.arrays, taught.recipe, evaluation, left, found, kinds)


def moves(data: Data, journey: Journey, say: Progress, *, seed: int) -> LearnedMoves:
    """Learn the chances of the next moves, where the data carries them and its clock means something."""
    say("moves", 0.0)
    timeless = LearnedMoves((), {}, (), ("of any kind: the log's times say nothing",))
    found = timeless if data.is_by_rank else learn_moves(data, journey, seed=seed)
    say("moves", 1.0)
    return found


def publish(data: Data, fitted: Fitted, registry: Registry, signing_key: bytes | None, say: Progress) -> Published:
    """Write the bundle, register it, and leave ``model.json`` in the data directory."""
    say("publish", 0.0)
    journey = fitted.engine.journey
    digest = data.log.digest(data.until)
    meta = BundleMeta(
        name=registry.name,
        feature_schema=journey.schema.hash,
        journey_version=journey.version,
        journey_digest=journey.digest,
        until=data.until,
        data_digest=digest,
        created_at=time.time_ns() // 1_000,
    )
    documents = {
        "blend": fitted.engine.blend.to_document(),
        "journey": journey.to_document(),
        "golden": golden_of(fitted.engine, _golden_cases(data, journey)),
        "facts": _facts(data, fitted),
    }
    content = BundleContent(fitted.arrays, meta, documents)
    bundle = write_bundle(registry.home / "bundles", content, signing_key=signing_key)
    say("publish", 0.3)
    opened = Engine.open(bundle, schema_hash=journey.schema.hash)
    say("publish", 0.5)
    version = registry.publish(
        bundle,
        params=fitted.recipe.flat(),
        metrics=fitted.evaluation.headline() if fitted.evaluation else {},
        tables=_tables(fitted),
        figures=figures_of(fitted.evaluation, fitted.engine.blend) if fitted.evaluation else {},
        pages={"report": page_of(_report_data(data, fitted))} if fitted.evaluation else {},
        tags={"left_out": ", ".join(fitted.left_out), "moves_left_out": "; ".join(fitted.moves.left_out)},
    )
    _leave_note(data.path, version, bundle, opened.model, registry)
    say("publish", 1.0)
    return Published(version, bundle, opened.model.content_digest, fitted)


def evaluated(
    data: Data, windows: Windows, taught: Taught, journey: Journey, say: Progress, *, n: int
) -> tuple[Evaluation | None, tuple[KindRow, ...], Taught]:
    """The test figures, those of the scale, and what was taught with the test window's cases for the final model."""
    cases = cases_of(data, windows.test, windows.until, journey.schema, n=n, seed=taught.recipe.seed + N_EARLIER + 1)
    if not taught.lessons or len(cases) < MIN_CASES:
        return None, (), taught
    arrays = fit(data.material(windows.test), taught.recipe)
    learned = taught.learned(sources_of(arrays))
    engine = engine_of(arrays, learned, journey, windows.test)
    facts = facts_of(data, windows.test)
    found = evaluate(engine, cases, facts, windows.test, windows.until, progress=lambda share: say("evaluate", share))
    lessons = (*taught.lessons, lesson_with(engine, arrays, cases))
    return found, kind_rows(engine, cases), replace(taught, lessons=lessons)


def engine_of(arrays: Arrays, learned: Learned, journey: Journey, until: int) -> Engine:
    """The engine of what was fitted and what was learned."""
    model = Model("candidate", "0", "", until)
    return Engine(arrays | learned.arrays, learned.blend, journey, model, blind=learned.blind)


def _golden_cases(data: Data, journey: Journey) -> list[tuple[Any, int]]:
    """The empty state, and customers spread evenly over all."""
    ids = data.touches.customer_ids
    chosen = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, N_GOLDEN - 1).astype(int))] if ids else []
    table = states_of(data, chosen, np.full(len(chosen), data.until, np.int64), journey.schema)
    return [(journey.schema.empty(), data.until), *((table.state(i), data.until) for i in range(len(chosen)))]


def _facts(data: Data, fitted: Fitted) -> dict[str, Any]:
    return {
        "log_read_at": data.read_at,
        "recipe": asdict(fitted.recipe),
        "left_out": list(fitted.left_out),
        "ranker_serves": serves_of(fitted.engine),
        "n_customers": len(data.touches.customer_ids),
        "n_interactions": len(data.touches),
        "n_items": len(fitted.engine.items),
        "evaluation": fitted.evaluation.headline() if fitted.evaluation else {},
        "moves": table_of_moves(fitted.moves.report),
        "moves_left_out": list(fitted.moves.left_out),
    }


def serves_of(engine: Engine) -> list[str]:
    """Kinds of request that the ranker serves, by task and whether a session is running; the blend has the rest."""
    if engine.ranker is None:
        return []
    requests = [(task, live) for task in TASKS for live in (False, True)]
    return [
        f"{task}/{'live' if live else 'between'}" for task, live in requests if engine.ranker.is_for(task, live=live)
    ]


def _report_data(data: Data, fitted: Fitted) -> ReportData:
    assert fitted.evaluation is not None
    facts = {
        "customers": f"{len(data.touches.customer_ids):,}",
        "touches": f"{len(data.touches):,}",
        "sources": ", ".join(fitted.engine.sources),
    }
    title = f"How good is the model of {data.path.resolve().name}"
    moves_rows = shown_moves(fitted.moves.report)
    blend, n_items = fitted.engine.blend, len(fitted.engine.items)
    return ReportData(title, fitted.evaluation, blend, n_items, facts, moves_rows, fitted.kinds)


def _tables(fitted: Fitted) -> dict[str, list[dict[str, Any]]]:
    moves_rows = table_of_moves(fitted.moves.report)
    tables = fitted.evaluation.tables() if fitted.evaluation else {}
    return {**tables, **({"moves": moves_rows} if moves_rows else {})}


def _leave_note(path: Path, version: int, bundle: Path, model: Model, registry: Registry) -> None:
    # Data directories are copied around: the registry is named without what it takes to enter it.
    note = {
        "version": str(version),
        "name": registry.name,
        "digest": model.digest,
        "bundle": str(bundle.resolve()),
        "until": model.until,
        "registry": without_credentials(registry.uri),
    }
    draft = path / ".model.json"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(note)))
    draft.replace(path / "model.json")
