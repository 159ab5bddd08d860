"""What reading is worth: one model in a simulated shop that knows what customers read, and the same that does not.

``python -m benchmarks.content_value [--events N] [--visits N] [--seed N]`` simulates a shop, learns from its log,
and lets the same model serve the same visitors each time: knowing all, not knowing what they read, and using that
only so as not to offer it again. The value of a slate is the simulator's expected worth, so
nothing but who comes is left to chance; intervals are 95 % bootstrap over customers, paired.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.visits import END, N_SLOTS, Memory, Trial, policy_of, text_of
from features.ids import key64
from features.journey import Journey
from recommender.blend import TASKS, Blend
from recommender.engine import Engine, Model, sources_of
from training.blending import learn_blend
from training.fit import Recipe, fit
from training.load import Data
from training.pools import pools_of
from training.simulator import Environment, run_policy, simulate
from training.split import cases_of, windows_of
from training.spread import blas_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from features.events import Line
    from training.simulator.trial import Policy

N_CASES: Final = 1_200
KNOWS, LEAVES_OUT, BLIND = "knows what they read", "only does not offer it again", "does not know"
MODEL: Final = Model("trial", "1", "", END)


def learned(data: Data, journey: Journey, seed: int = 0) -> Engine:
    """A model of a log: the default recipe, with weights learned on its last window."""
    windows, recipe = windows_of(data), Recipe(seed=seed)
    earlier = fit(data.material(windows.test), recipe)
    cases = cases_of(data, windows.test, windows.until, journey.schema, n=N_CASES, seed=seed)
    engine = Engine(earlier, Blend.prior(sources_of(earlier)), journey, MODEL)
    pools = {task: pools_of(engine, cases, is_new=task == "new") for task in TASKS}
    blend = learn_blend(engine.sources, pools, seed=seed)
    latest = fit(data.material(data.until), recipe)
    return Engine(latest, blend.projected(sources_of(latest)), journey, MODEL)


def trial(home: Path, *, events: int, n_visits: int, seed: int = 0) -> tuple[Trial, NDArray[np.bool_]]:
    """Simulate, learn, and serve the same visitors under each way of knowing; and whether each had read something."""
    simulate(home, events=events, seed=seed, end=END)
    data, journey = Data(home, END), Journey.load(None)
    engine = learned(data, journey)
    content = {key64(item.item_id): item.item_id for item in data.catalog if item.kind == "content"}
    environment = Environment.after(events=events, seed=seed, end=END)
    customer_ids = [visit.customer_id for visit in environment.visitors(n_visits)]

    def memory(*, reads: bool) -> Memory:
        return Memory(data.lines, sorted(set(customer_ids)), END, journey, content, reads=reads)

    def run(policy: Policy, *memories: Memory) -> tuple[float, ...]:
        def observe(lines: list[Line]) -> None:
            for one in memories:
                one.observe(lines)

        return run_policy(environment, policy, n_visits, n=N_SLOTS, observe=observe).values

    knows, blind, half, read = (memory(reads=reads) for reads in (True, False, False, True))
    is_reader = np.array([knows.of(customer_id).n_read > 0 for customer_id in customer_ids])
    runs = {
        KNOWS: run(policy_of(engine, knows), knows),
        LEAVES_OUT: run(policy_of(engine, half, read), half, read),
        BLIND: run(policy_of(engine, blind), blind),
    }
    return Trial(customer_ids, runs), is_reader


def main() -> None:
    """Run the trial and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000, help="size of the simulated log")
    parser.add_argument("--visits", type=int, default=1_500, help="how many slates each run shows")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, blas_threads(1):
        found, is_reader = trial(Path(work) / "shop", events=asked.events, n_visits=asked.visits, seed=asked.seed)
    table = Table("visits of", "customers", "the model", "true value of a slate", "to the blind one", "of it")
    everybody = np.ones(len(found.customer_ids), np.bool_)
    for who, keep in (("all", everybody), ("readers", is_reader), ("others", ~is_reader)):
        n = found.n_customers(keep)
        for name in found.runs:
            value, gain = found.worth(name, keep), found.worth(name, keep, BLIND)
            share = f"{gain.mean / found.worth(BLIND, keep).mean:+.1%}"
            more = ("", "") if name == BLIND else (text_of(gain), share)
            table.add_row(who if name == KNOWS else "", str(n) if name == KNOWS else "", name, text_of(value), *more)
        table.add_section()
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
