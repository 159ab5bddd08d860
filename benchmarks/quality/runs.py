"""Runs: one system on one task or dataset, each in a process of its own so that its memory is its own."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.quality.cases import Cases, inner_split, outer_split
from benchmarks.quality.lists import NOTHING, Cost, N, Note, Stored, lists_of
from benchmarks.quality.peers import PEERS
from benchmarks.quality.scores import values_of
from benchmarks.quality.sources import Prepared
from benchmarks.quality.tasks import TASKS, Cut, Task
from features.journey import Journey
from recommender.slate import SlateRequest
from training.job import train
from training.load import Data
from training.registry import Registry
from training.split import states_of
from training.touched import Touched, leaving_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from benchmarks.quality.cases import Split
    from benchmarks.quality.lists import Model
    from recommender.engine import Engine

    Ints = NDArray[np.int64]

SYSTEM: Final = "rihla"
_STATUS: Final = Path("/proc/self/status")
MIN_VALIDATION: Final = 20
"""Below so many validation cases the default setting serves."""


def alone(run: Callable[..., None], *arguments: Any) -> None:
    """Call a function in a fresh process and wait for it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(run, *arguments).result()


def peak_mib() -> float | None:
    """Peak resident memory of this process, MiB; None where the system has no ``/proc``.

    ``getrusage`` would count the process that this one was forked from.
    """
    if not _STATUS.is_file():
        return None
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def list_path(cache: Path, task: Task, system: str) -> Path:
    """Where the lists of a system are kept, without an ending."""
    return cache / task.dataset / task.slug / system.replace(" ", "-").replace(",", "")


def run_peer(cache: Path, task_name: str, peer_name: str) -> None:
    """Tune a baseline on the inner split, fit it on the past, and keep its lists."""
    task = next(task for task in TASKS if task.name == task_name)
    prepared = Prepared.load(cache / task.dataset)
    split = outer_split(task, prepared.events, prepared.held)
    start = time.monotonic()
    number, validation = _tuned(cache, task, peer_name, split)
    tuned = time.monotonic()
    model = PEERS[peer_name].fitted(split.past, number, _parts(cache, task, peer_name, split))
    fitted = time.monotonic()
    rows = lists_of(model, split.past, split.cases.queries, hide_seen=task.hide_seen)
    cost = Cost(tuned - start, fitted - tuned, time.monotonic() - fitted, peak_mib())
    peer = PEERS[peer_name]
    digest = f"{split.cases.digest()}-{peer.digest}"
    note = Note(peer_name, digest, _finite(peer.settings[number]._asdict()), number, validation, cost)
    Stored(_keys(rows, split), note).save(list_path(cache, task, peer_name))


def _keys(rows: Ints, split: Split) -> Ints:
    keys: Ints = np.where(rows >= 0, split.past.events.item_keys[rows], NOTHING)
    return keys


def _finite(setting: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: a half-life of what does not age is null."""
    return {name: None if value == float("inf") else value for name, value in setting.items()}


def _tuned(cache: Path, task: Task, peer_name: str, split: Split) -> tuple[int, float | None]:
    """Number of the best setting on validation, and its value; the first where there is nothing to choose."""
    peer = PEERS[peer_name]
    inner = inner_split(task, split.past)
    if len(peer.settings) == 1 or len(inner.cases) < MIN_VALIDATION:
        return 0, None
    parts = _parts(cache, task, peer_name, inner)
    tried = [_value(task, peer.fitted(inner.past, number, parts), inner) for number in range(len(peer.settings))]
    best = int(np.argmax(tried))
    return best, tried[best]


def _value(task: Task, model: Model, inner: Split) -> float:
    rows = lists_of(model, inner.past, inner.cases.queries, hide_seen=task.hide_seen)
    return float(values_of(_keys(rows, inner), inner.cases.targets, task.metrics[0]).mean())


def _parts(cache: Path, task: Task, peer_name: str, split: Split) -> list[Model]:
    return [_part(cache, task, part, split) for part in PEERS[peer_name].parts]


def _part(cache: Path, task: Task, name: str, split: Split) -> Model:
    """A part of a blend with the setting that won for it alone."""
    peer = PEERS[name]
    if len(peer.settings) == 1:
        return peer.fitted(split.past, 0)
    path = list_path(cache, task, name)
    stored = Stored.load(path, f"{_digest(cache, task)}-{peer.digest}")
    if stored is None:
        raise ValueError(f"{path}: expected the lists of {name}, which a blend of it needs, got none")
    return peer.fitted(split.past, stored.note.setting_no)


def _digest(cache: Path, task: Task) -> str:
    prepared = Prepared.load(cache / task.dataset)
    return outer_split(task, prepared.events, prepared.held).cases.digest()


def run_system(cache: Path, dataset: str, task_names: Sequence[str]) -> None:
    """Train on a dataset before each cut and keep the decided lists of its tasks."""
    prepared = Prepared.load(cache / dataset)
    tasks = [task for task in TASKS if task.name in task_names]
    for cut in dict.fromkeys(task.cut for task in tasks):
        start = time.monotonic()
        engine = _trained(prepared, None if cut == Cut() else cut.of(prepared.events))
        fit_s = time.monotonic() - start
        for task in (task for task in tasks if task.cut == cut):
            _decide(cache, prepared, task, engine, fit_s)


def _trained(prepared: Prepared, until: int | None) -> Engine:
    with tempfile.TemporaryDirectory() as home:
        made = train(prepared.directory, registry=Registry(Path(home)), until=until, journey=Journey.load())
        return made.fitted.engine


def _decide(cache: Path, prepared: Prepared, task: Task, engine: Engine, fit_s: float) -> None:
    cases = outer_split(task, prepared.events, prepared.held).cases
    start = time.monotonic()
    keys = decided(engine, prepared, cases, hide_seen=task.hide_seen)
    cost = Cost(0.0, fit_s, time.monotonic() - start, peak_mib())
    note = Note(SYSTEM, cases.digest(), {}, 0, None, cost)
    Stored(keys, note).save(list_path(cache, task, SYSTEM))


def decided(engine: Engine, prepared: Prepared, cases: Cases, *, hide_seen: bool) -> Ints:
    """Lists of our own system, shape (n_cases, N), each as of its case's moment and without rules."""
    request = SlateRequest(limit=N, unseen_only=hide_seen, apply_rules=False)
    data, as_of = Data(prepared.directory).as_learned_from(cases.queries.as_of)
    states = states_of(data, cases.customer_ids, as_of, engine.journey.schema)
    keys = np.full((len(cases), N), NOTHING, np.int64)
    touched = Touched(data.touches)
    for row, now in enumerate(as_of.tolist()):
        state = states.state(row)
        asked = leaving_out(request, state, touched.before(cases.customer_ids[row], now), engine.items)
        found = [item.item_key for item in engine.decide(state, asked, now).items]
        keys[row, : len(found)] = found
    return keys
