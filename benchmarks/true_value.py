"""What the model, its knowledge of the stage, and the size of the log are worth in a shop whose truth is known.

``python -m benchmarks.true_value [--events N,N,...] [--shops N] [--visits N] [--mix P,C,A]`` simulates shops of each
size, trains on the log of each as ``rihla train`` does, and lets every system serve the same visitors: the model, the
same model blind to the stage, the model with one mix of kinds for all stages, popularity, and each source alone, of
which the best is shown. What is blind to the stage has one mix, too. The simulator's customers know nothing of stages.
The value of a slate is its expected worth, so nothing but who comes is left to chance; intervals are 95 % bootstrap
over customers, paired. A visit's stage and history are those of the log.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.visits import END, N_SLOTS, Memory, Trial, policy_of, text_of
from features.journey import STAGES, Journey
from recommender.blend import Blend
from recommender.items import KINDS
from training.job import DEFAULT_SIZES, fit_all, load, split
from training.segments import HISTORY_SIZES
from training.simulator import Environment, run_policy, simulate
from training.split import windows_of
from training.spread import blas_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from recommender.engine import Engine
    from training.load import Data

SIZES: Final = "0,100,1000,10000,100000"
OF_AN_UNKNOWN_SHOP: Final = 100
"""Events of a shop from whose log nothing is learned, since it begins where its log does."""
MODEL, BLIND, ONE_MIX, POPULAR = "the model", "blind to the stage", "one mix of kinds for all", "popular alone"


class Mix(NamedTuple):
    """Parts of product, content and action, of slates in every stage."""

    product: float
    content: float
    action: float

    @classmethod
    def of(cls, text: str) -> Mix:
        """As it is written: three numbers with commas between them."""
        return cls(*(float(part) for part in text.split(",")))

    def __str__(self) -> str:
        return ",".join(f"{part:g}" for part in self)

    @property
    def shares(self) -> NDArray[np.float64]:
        """They sum to one."""
        return np.array(self) / sum(self)


class Shop:
    """A simulated shop, what was learned from its log, and who comes next."""

    def __init__(self, home: Path, *, events: int, n_visits: int, seed: int = 0) -> None:
        n_events = events or OF_AN_UNKNOWN_SHOP
        simulate(home, events=n_events, seed=seed, end=END)
        self._seed = seed
        self._journey, self._n_visits = Journey.load(None), n_visits
        self._data = load(home, END, _quietly)
        if not events:
            self._data = load(home, self._data.start, _quietly)
        self.engine = trained(self._data, self._journey, seed)
        self._environment = Environment.after(events=n_events, seed=seed, end=END)
        self.visits = self._environment.visitors(n_visits)

    def trial(self, mixes: Sequence[Mix] = ()) -> Trial:
        """Every system on the same visits, and the model with each of some mixes in every stage."""
        sources = self.engine.sources
        alone = {f"{name} alone": self.engine.with_blend(Blend.only(name, sources)) for name in sources}
        one_mix = self.engine.with_mix(self.engine.mean_mix())
        mixed = {f"mix {mix}": self.engine.with_mix(mix.shares) for mix in mixes}
        engines = {MODEL: self.engine, BLIND: self.engine.without_stage(), ONE_MIX: one_mix, **mixed, **alone}
        runs = {name: self.run(engine) for name, engine in engines.items()}
        return Trial([f"{self._seed}/{visit.customer_id}" for visit in self.visits], runs)

    def run(self, engine: Engine) -> tuple[float, ...]:
        """True value of one system's slate at each visit; it sees what came of those before."""
        memory = self._memory()
        policy = policy_of(engine, memory)
        return run_policy(self._environment, policy, self._n_visits, n=N_SLOTS, observe=memory.observe).values

    def slices(self) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Which visits are of which stage and length of history, as of the log."""
        memory = self._memory()
        states = [memory.of(visit.customer_id) for visit in self.visits]
        stage = np.array(
            [self._journey.stage_of(state, v.now).stage for state, v in zip(states, self.visits, strict=True)], np.str_
        )
        n_touch = np.array([state.n_touch for state in states], np.int64)
        yield "all", np.ones(len(stage), np.bool_)
        yield from ((f"stage: {name}", stage == name) for name in STAGES)
        yield from ((f"history: {name}", (n_touch >= low) & (n_touch <= high)) for name, low, high in HISTORY_SIZES)

    def _memory(self) -> Memory:
        ids = sorted({visit.customer_id for visit in self.visits})
        return Memory(self._data.lines, ids, END, self._journey, {}, reads=True)


def trained(data: Data, journey: Journey, seed: int = 0) -> Engine:
    """The engine that ``rihla train`` would publish, with its twin that is blind to the stage."""
    windows, n = windows_of(data), DEFAULT_SIZES
    taught = split(data, windows, journey, _quietly, n=n.validation, seed=seed)
    return fit_all(data, windows, taught, journey, _quietly, n=n.test, with_blind=True).engine


def pooled(trials: Sequence[Trial]) -> Trial:
    """Trials of several shops as one: the model, its twins, popularity, and the best of the other sources alone.

    The best is chosen on these very visits, which favours it.
    """
    common = [name for name in trials[0].runs if all(name in one.runs for one in trials)]
    values = {name: tuple(value for one in trials for value in one.runs[name]) for name in common}
    others = [name for name in common if name.endswith(" alone") and name != POPULAR]
    best = max(others, key=lambda name: sum(values[name]), default=POPULAR)
    kept = [name for name in common if name not in others]
    customer_ids = [customer_id for one in trials for customer_id in one.customer_ids]
    return Trial(customer_ids, {name: values[name] for name in (*kept, best)})


def main() -> None:
    """Run the trials and print a table for each size of the log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", default=SIZES, help="sizes of the simulated log, separated by commas")
    parser.add_argument("--shops", type=int, default=1, help="how many shops of each size")
    parser.add_argument("--visits", type=int, default=1_500, help="how many slates each run shows in a shop")
    parser.add_argument("--seed", type=int, default=0, help="of the first shop")
    parser.add_argument(
        "--mix", type=Mix.of, action="append", default=[], help=f"also parts of {', '.join(KINDS)}: P,C,A"
    )
    asked = parser.parse_args()
    console = Console(width=150)
    for events in map(int, asked.events.split(",")):
        trials, slices, ranked = [], [], 0
        for seed in range(asked.seed, asked.seed + asked.shops):
            with tempfile.TemporaryDirectory() as work, blas_threads(1):
                shop = Shop(Path(work) / "shop", events=events, n_visits=asked.visits, seed=seed)
                trials.append(shop.trial(asked.mix))
                slices.append(dict(shop.slices()))
                ranked += shop.engine.ranker is not None
        title = f"{asked.shops} of {events:,} events; a ranker serves in {ranked}"
        keep = {name: np.concatenate([one[name] for one in slices]) for name in slices[0]}
        console.print(table_of(pooled(trials), keep, title))


def table_of(found: Trial, slices: Mapping[str, NDArray[np.bool_]], title: str) -> Table:
    """Every slice's true value by system, and what the model gains on each of the others."""
    table = Table(*("visits of", "customers", "system", "true value of a slate", "the model, to that"), title=title)
    for who, keep in slices.items():
        n = found.n_customers(keep)
        if not n:
            continue
        for name in found.runs:
            gain = "" if name == MODEL else text_of(found.worth(MODEL, keep, name))
            table.add_row(*((who, str(n)) if name == MODEL else ("", "")), name, text_of(found.worth(name, keep)), gain)
        table.add_section()
    return table


def _quietly(_name: str, _share: float) -> None:
    """Progress of a training that nobody waits for."""


if __name__ == "__main__":
    main()
