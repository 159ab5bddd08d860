"""The training job: load → split → fit → evaluate → publish, one function an arrow."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from recommender.blend import TASKS, Blend
from recommender.bundle import BundleContent, BundleMeta, write_bundle
from recommender.engine import Engine, Model, sources_of
from recommender.golden import N_GOLDEN, golden_of
from training.blending import learn_blend, samples_of
from training.evaluate import Evaluation, evaluate
from training.fit import Recipe, fit, left_out
from training.load import Data
from training.models import without_credentials
from training.plots import figures_of
from training.split import Windows, cases_of, states_of, windows_of
from training.tune import Tuner, tune

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from features.journey import Journey
    from training.blending import Sample
    from training.registry import Registry

    Progress = Callable[[str, float], None]

MIN_CASES: Final = 30
"""Below so many validation cases nothing is tuned and the prior weights serve."""


class Sizes(NamedTuple):
    """At most how many cases validation and test draw; fewer is faster and less certain."""

    validation: int = 1_500
    test: int = 2_000


DEFAULT_SIZES: Final = Sizes()


@dataclass(frozen=True)
class Learned:
    """What validation decided: a recipe and the samples that blend weights are learned from."""

    recipe: Recipe
    sources: tuple[str, ...] = ()
    samples: dict[str, Sample] = field(default_factory=dict)

    def blend(self, sources: tuple[str, ...]) -> Blend:
        """Weights for some sources; the prior ones where validation had too little to say."""
        if not self.samples:
            return Blend.prior(sources)
        return learn_blend(self.sources, self.samples, seed=self.recipe.seed).projected(sources)


@dataclass(frozen=True)
class Fitted:
    """A model ready to be published, with how it did on the test window; None where that holds too little."""

    engine: Engine
    arrays: dict[str, NDArray[np.generic]]
    recipe: Recipe
    evaluation: Evaluation | None
    left_out: tuple[str, ...]


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
    with threadpool_limits(1, "blas"):
        data = load(path, until, say)
        windows = windows_of(data)
        learned = split(data, windows, journey, say, n=sizes.validation, seed=seed)
        fitted = fit_all(data, windows, learned, journey, say, n=sizes.test)
    return publish(data, fitted, registry, signing_key, say)


def load(path: Path, until: int | None, say: Progress) -> Data:
    """Read what happened before the cut-off."""
    say("load", 0.0)
    data = Data(path, until)
    _ = data.touches  # read once, here, so that later steps start at once
    say("load", 1.0)
    return data


def split(data: Data, windows: Windows, journey: Journey, say: Progress, *, n: int, seed: int) -> Learned:
    """Tune on ``[validation, test)`` with models that saw nothing of it."""
    cases = cases_of(data, windows.validation, windows.test, journey.schema, n=n, seed=seed)
    recipe = Recipe(seed=seed)
    if sum(len(touched) > 0 for touched in cases.touched) < MIN_CASES:
        return Learned(recipe)
    material = data.material(windows.validation)
    recipe = tune(Tuner(material, cases, journey), recipe, progress=lambda share: say("tune", share))
    engine = _engine(fit(material, recipe), None, journey)
    return Learned(recipe, engine.sources, samples_of(engine, cases))


def fit_all(data: Data, windows: Windows, learned: Learned, journey: Journey, say: Progress, *, n: int) -> Fitted:
    """Judge the procedure on the test window, then fit on everything with what both windows taught."""
    evaluation, learned = _evaluated(data, windows, learned, journey, say, n=n)
    say("fit", 0.0)
    arrays = fit(data.material(data.until), learned.recipe)
    engine = _engine(arrays, learned.blend(sources_of(arrays)), journey)
    say("fit", 1.0)
    return Fitted(engine, arrays, learned.recipe, evaluation, left_out(arrays))


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
        params=_params(fitted.recipe),
        metrics=fitted.evaluation.headline() if fitted.evaluation else {},
        tables={"evaluation": _table(fitted.evaluation)} if fitted.evaluation else {},
        figures=figures_of(fitted.evaluation, fitted.engine.blend) if fitted.evaluation else {},
        tags={"left_out": ", ".join(fitted.left_out)},
    )
    _leave_note(data.path, version, bundle, opened.model, registry)
    say("publish", 1.0)
    return Published(version, bundle, opened.model.content_digest, fitted)


def _evaluated(
    data: Data, windows: Windows, learned: Learned, journey: Journey, say: Progress, *, n: int
) -> tuple[Evaluation | None, Learned]:
    """The test figures, and what was learned with the test window's cases added for the final weights."""
    cases = cases_of(data, windows.test, windows.until, journey.schema, n=n, seed=learned.recipe.seed + 1)
    if not learned.samples or len(cases) < MIN_CASES:
        return None, learned
    arrays = fit(data.material(windows.test), learned.recipe)
    engine = _engine(arrays, learned.blend(sources_of(arrays)), journey)
    found = evaluate(engine, cases, windows.test, windows.until, progress=lambda share: say("evaluate", share))
    if engine.sources != learned.sources:
        return found, learned
    later = samples_of(engine, cases)
    return found, replace(learned, samples={task: learned.samples[task].and_(later[task]) for task in TASKS})


def _engine(arrays: dict[str, NDArray[np.generic]], blend: Blend | None, journey: Journey) -> Engine:
    sources = sources_of(arrays)
    return Engine(arrays, blend or Blend.uniform(sources), journey, Model("candidate", "0", "", 0))


def _golden_cases(data: Data, journey: Journey) -> list[tuple[Any, int]]:
    """The empty state, and customers spread evenly over all."""
    ids = data.touches.customer_ids
    chosen = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, N_GOLDEN - 1).astype(int))] if ids else []
    table = states_of(data, chosen, np.full(len(chosen), data.until, np.int64), journey.schema)
    return [(journey.schema.empty(), data.until), *((table.state(i), data.until) for i in range(len(chosen)))]


def _facts(data: Data, fitted: Fitted) -> dict[str, Any]:
    return {
        "recipe": asdict(fitted.recipe),
        "left_out": list(fitted.left_out),
        "n_customers": len(data.touches.customer_ids),
        "n_interactions": len(data.touches),
        "n_items": len(fitted.engine.items),
        "evaluation": fitted.evaluation.headline() if fitted.evaluation else {},
    }


def _params(recipe: Recipe) -> dict[str, Any]:
    flat = asdict(recipe)
    fields = ("cosine", "rp3beta", "ease", "als")
    nested = {name: value._asdict() for name in fields if (value := getattr(recipe, name))}
    for name, values in nested.items():
        del flat[name]
        flat |= {f"{name}.{key}": value for key, value in values.items()}
    return flat


def _table(evaluation: Evaluation) -> list[dict[str, Any]]:
    rows = []
    for row in evaluation.rows:
        record = {name: getattr(row, name) for name in ("task", "protocol", "slice", "system", "metric", "n_cases")}
        record |= {"mean": row.value.mean, "low": row.value.low, "high": row.value.high}
        delta = row.delta._asdict() if row.delta else {}
        rows.append(record | {f"delta_{name}": delta.get(name) for name in ("mean", "low", "high")})
    return rows


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
