"""A longer search for the recipe: Optuna over what every training chooses from a small grid.

Every source gets the same number of trials, the simple ones that serve as baselines too (Dacrema, Cremonesi and
Jannach 2019: most gains over baselines vanish when these are tuned as well). The first trials are those of the
grid, so that the outcome is never worse on validation than a training without a search. What was found lies in
``DIR/tune``: a killed search goes on where it stopped, and ``recipe.json`` there is what ``rihla train`` starts from.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from features.errors import InputError
from training.fit import Recipe
from training.job import MIN_CASES, Sizes, load
from training.recipes import FOLDER, Saved, save_recipe
from training.split import cases_of, windows_of
from training.spread import blas_threads
from training.tune import CHOICES, Tuner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import optuna

    from features.journey import Journey
    from training.job import Progress
    from training.load import Data
    from training.registry import Registry
    from training.registry_run import TrialLog
    from training.tune import Choice

MAX_TRIALS: Final = 10_000
WIDE: Final = 10.0
"""A range whose ends are so many times apart is searched by ratio."""


class Found(NamedTuple):
    """The best of one field: its sources' NDCG@10 under the defaults and now, and how many trials there have been."""

    field: str
    before: float
    after: float
    n_trials: int


def search(  # noqa: PLR0913 - each is an option of the command
    path: Path,
    *,
    registry: Registry,
    journey: Journey,
    n_trials: int,
    until: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    sizes: Sizes | None = None,
) -> tuple[Found, ...]:
    """Search for a better recipe on the validation window and keep it in the data directory.

    Parameters
    ----------
    n_trials : int
        Of every source, over all searches of this directory and cut-off together.

    Raises
    ------
    InputError
        No number of trials that makes sense, or too few customers with a history to judge by.
    """
    if not 1 <= n_trials <= MAX_TRIALS:
        raise InputError(f"--trials: expected 1 to {MAX_TRIALS:,}, got {n_trials}")
    say = progress or (lambda _name, _share: None)
    with blas_threads(1):
        data = load(path, until, say)
        windows = windows_of(data)
        tuner = _tuner(data, journey, (sizes or Sizes()).validation, seed)
        (path / FOLDER).mkdir(exist_ok=True)
        recipe, found = Recipe(seed=seed), []
        with registry.trials(path.resolve().name) as log:
            for number, choice in enumerate(CHOICES):
                share = partial(_say, say, number)
                recipe, one = _searched(path / FOLDER, data, tuner, recipe, choice, n_trials, log, share)
                found.append(one)
    save_recipe(path, Saved(windows.test, recipe))
    return tuple(found)


def _say(say: Progress, number: int, done: float) -> None:
    say("tune", (number + done) / len(CHOICES))


def _tuner(data: Data, journey: Journey, n: int, seed: int) -> Tuner:
    windows = windows_of(data)
    cases = cases_of(data, windows.validation, windows.test, journey.schema, n=n, seed=seed)
    n_known = sum(len(touched) > 0 for touched in cases.touched)
    if n_known < MIN_CASES:
        raise InputError(f"{data.path}: expected {MIN_CASES} validation cases with a history to tune on, got {n_known}")
    return Tuner(data.material(windows.validation), cases, journey)


def _searched(  # noqa: PLR0913, PLR0917 - one field's part of a search
    folder: Path,
    data: Data,
    tuner: Tuner,
    recipe: Recipe,
    choice: Choice,
    n_trials: int,
    log: TrialLog,
    share: Callable[[float], None],
) -> tuple[Recipe, Found]:
    study = _study(folder, f"{choice.field}-{data.until}", recipe.seed)
    if not study.trials:
        for value in choice.values[:n_trials]:
            study.enqueue_trial(_enqueued(choice, value), skip_if_exists=True)

    def judged(trial: optuna.Trial) -> float:
        value = suggested(trial, choice)
        tried = replace(recipe, **{choice.field: value})
        score = sum(tuner.score(name, tried) for name in choice.sources) / len(choice.sources)
        log(choice.field, trial.number, trial.params, score)
        share(min(1.0, (trial.number + 1) / n_trials))
        return score

    study.optimize(judged, n_trials=max(0, n_trials - _n_done(study)))
    best = study.best_trial
    value = _value(choice, best.params)
    n = _n_done(study)
    first = next(trial.value for trial in study.trials if trial.value is not None)
    return replace(recipe, **{choice.field: value}), Found(choice.field, float(first), float(best.value or 0.0), n)


def _study(folder: Path, name: str, seed: int) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "trials.journal")))
    sampler = optuna.samplers.TPESampler(seed=seed)
    return optuna.create_study(
        study_name=name, storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
    )


def _n_done(study: optuna.Study) -> int:
    return sum(trial.value is not None for trial in study.trials)


def suggested(trial: optuna.Trial, choice: Choice) -> Any:
    """A value of a field, each of its parts from the range that the grid spans."""
    for name, seen in _parts(choice).items():
        _suggest(trial, name, seen)
    return _value(choice, trial.params)


def _parts(choice: Choice) -> dict[str, list[Any]]:
    """Values that the grid has of each part that varies in it."""
    columns = {
        name: [getattr(value, name) if name != choice.field else value for value in choice.values]
        for name in getattr(choice.values[0], "_fields", (choice.field,))
    }
    return {name: seen for name, seen in columns.items() if len(set(seen)) > 1}


def _suggest(trial: optuna.Trial, name: str, seen: list[Any]) -> None:
    if isinstance(seen[0], bool | str):
        trial.suggest_categorical(name, sorted(set(seen)))
        return
    low, high = min(seen), max(seen)
    by_ratio = low > 0 and high / low >= WIDE
    if all(isinstance(value, int) for value in seen):
        trial.suggest_int(name, low, high, log=by_ratio)
    else:
        trial.suggest_float(name, low, high, log=by_ratio)


def _enqueued(choice: Choice, value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) if name != choice.field else value for name in _parts(choice)}


def _value(choice: Choice, params: dict[str, Any]) -> Any:
    first = choice.values[0]
    return first._replace(**params) if hasattr(first, "_replace") else params.get(choice.field, first)
