"""The offline budgets: picks in bulk, and fit and evaluate in a process of their own, for its memory.

Run as a module: ``python -m benchmarks.offline DIR CASES`` prints one JSON object.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from benchmarks.budgets import Row
from benchmarks.steps import mean_us
from features.journey import Journey
from recommender.engine import sources_of
from recommender.slate import SlateRequest
from training.fit import SOURCES, Recipe, fit_source
from training.job import evaluated, load, moves, split
from training.picks import Audience, write_picks
from training.split import states_of, windows_of
from training.spread import blas_threads, n_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.shop import Shop
    from recommender.engine import Engine

FIT_PATIENCE_S = 3_600


class Fitted(msgspec.Struct, frozen=True):
    """Seconds of each part of a fit, of what it needs beside that, and peak memory after each, MiB."""

    steps: dict[str, float]
    lessons_s: float
    evaluate_s: float
    fit_mib: float
    evaluate_mib: float
    n_touches: int

    @property
    def fit_s(self) -> float:
        return sum(self.steps.values())


def picks_rows(shop: Shop, n: int) -> list[Row]:
    """Customers a second, from the log to a file of 20 picks each."""
    return [
        _picks_row(shop, shop.engine, n, "batch picks, 20 of 20k items, full", 1_500),
        _picks_row(shop, shop.blended, n, "batch picks, 20 of 20k items, blend only", 4_000),
    ]


def _picks_row(shop: Shop, engine: Engine, n: int, name: str, budget: int) -> Row:
    ids = [shop.customer_ids[i % len(shop.customer_ids)] for i in range(n)]
    audience = Audience(ids, np.full(n, shop.now, np.int64))
    request = SlateRequest("email", 20, channel="email")
    begun = time.perf_counter()
    write_picks(shop.home / "picks.parquet", engine, shop.data, audience, request)
    took = time.perf_counter() - begun
    begun = time.perf_counter()
    states_of(shop.data, ids, audience.as_of, engine.journey.schema)
    states_s = time.perf_counter() - begun
    decide_us = mean_us(lambda state: engine.decide(state, request, shop.now), shop.states, rounds=1)
    note = f"{n:,} customers in {took:.1f} s on {n_cores()} cores: {states_s:.1f} s states from the log, deciding"
    note += f" {decide_us:,.0f} µs each on one core; the rest is writing, forking and waiting for a core"
    return Row(name, f"≥ {budget:,} customers/s", f"{n / took:,.0f} customers/s", n / took >= budget, note)


def fit_rows(path: Path, events: int, cases: int) -> list[Row]:
    """Fit and evaluate on the whole log; other sizes than a million say so and are not judged."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.offline", str(path), str(cases)],
        stdout=subprocess.PIPE,
        check=True,
        cwd=Path(__file__).parents[1],
        timeout=FIT_PATIENCE_S,
    )
    found = msgspec.json.decode(done.stdout.splitlines()[-1], type=Fitted)
    dearest = sorted(found.steps.items(), key=lambda step: -step[1])[:3]
    where = "most in " + ", ".join(f"{name} {took:.1f} s" for name, took in dearest)
    where += f"; the lessons before it, reduced fits at earlier cut-offs, {found.lessons_s:.0f} s"
    is_full = events >= 1_000_000
    fit = f"{found.fit_s:.0f} s, {found.fit_mib / 1024:.1f} GiB"
    fit_met = (found.fit_s <= 180 and found.fit_mib <= 4096) if is_full else None
    evaluate_met = found.evaluate_s <= 300 if is_full else None
    how = f"{cases:,} cases, two tasks, five systems; peak {found.evaluate_mib / 1024:.1f} GiB"
    where = f"{found.n_touches:,} interactions; {where}"
    return [
        Row(f"fit on {events:,} events", "1 M: ≤ 180 s, ≤ 4 GiB", fit, fit_met, where),
        Row("evaluate on the same", "1 M: ≤ 300 s", f"{found.evaluate_s:.0f} s", evaluate_met, how),
    ]


def measured(path: Path, n_cases: int) -> Fitted:
    """Fit all that a model has with the default recipe, step by step; then judge the procedure on the test window."""
    steps: dict[str, float] = {}
    journey, recipe = Journey.load(None), Recipe()
    with blas_threads(1):
        with _timed(steps, "load"):
            data = load(path, None, _silent)
        windows = windows_of(data)
        begun = time.perf_counter()
        taught = split(data, windows, journey, _silent, n=n_cases, seed=0, recipe=recipe)
        lessons_s = time.perf_counter() - begun
        with _timed(steps, "material"):
            material = data.material(data.until)
        arrays = dict(material.vocabulary.arrays)
        for name in SOURCES:
            with _timed(steps, name):
                arrays |= fit_source(name, material, recipe)
        with _timed(steps, "blend and ranker"):
            taught.learned(sources_of(arrays), with_blind=False)
        with _timed(steps, "moves"):
            moves(data, journey, _silent, seed=0)
        fit_mib = _peak_mib()
        begun = time.perf_counter()
        evaluated(data, windows, taught, journey, _silent, n=n_cases)
        return Fitted(steps, lessons_s, time.perf_counter() - begun, fit_mib, _peak_mib(), len(material.touches))


@contextmanager
def _timed(steps: dict[str, float], name: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    steps[name] = time.perf_counter() - begun


def _silent(_name: str, _share: float) -> None:
    """Progress that nobody looks at."""


def _peak_mib() -> float:
    """Of this process or of the largest of its children, which see its memory and add their own."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measured(Path(sys.argv[1]), int(sys.argv[2]))) + b"\n")
