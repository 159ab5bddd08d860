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
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import ibis
import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from features.events import DAY_US
from features.ids import key64
from features.journey import Journey
from recommender.blend import TASKS, Blend
from recommender.engine import Engine, Model, sources_of
from recommender.slate import SlateRequest
from training.blending import learn_blend
from training.fit import Recipe, fit
from training.load import Data
from training.metrics import Interval, mean_interval
from training.pools import pools_of
from training.relational import state_table
from training.simulator import Environment, run_policy, simulate
from training.split import cases_of, windows_of
from training.touches import TOUCH_OF_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from features.events import Line
    from training.simulator import Outcome
    from training.simulator.trial import Policy

END: Final = 20_500 * DAY_US
N_CASES: Final = 1_200
N_SLOTS: Final = 8
KNOWS, LEAVES_OUT, BLIND = "knows what they read", "only does not offer it again", "does not know"
MODEL: Final = Model("trial", "1", "", END)


class Memory:
    """States of customers as they go on, of all that they do or of all but what they do with content.

    Parameters
    ----------
    lines : Table
        The log, from which the states of ``customer_ids`` start at ``now``.
    content : dict of int to str
        Keys and ids of content; what is done with it is forgotten when ``reads`` is off.
    """

    def __init__(
        self,
        lines: ir.Table,
        customer_ids: Sequence[str],
        now: int,
        journey: Journey,
        content: Mapping[int, str],
        *,
        reads: bool,
    ) -> None:
        self._schema, self._content, self._reads = journey.schema, content, reads
        if not reads:
            is_reading = lines.item_id.isin(sorted(content.values())) & lines.type.isin(list(TOUCH_OF_TYPE))
            lines = lines.filter(~is_reading.fill_null(False))
        cases = pa.table(
            {
                "case_idx": pa.array(np.arange(len(customer_ids), dtype=np.int64)),
                "customer_id": pa.array(customer_ids, pa.string()),
                "as_of": pa.array(np.full(len(customer_ids), now)).cast(pa.timestamp("us", "UTC")),
            }
        )
        table = state_table(lines, ibis.memtable(cases), self._schema)
        self._states = {customer_id: table.state(row) for row, customer_id in enumerate(customer_ids)}

    def of(self, customer_id: str) -> Any:
        """The state of a customer; the empty one for somebody unknown."""
        return self._states.get(customer_id) or self._schema.empty()

    def read_by(self, customer_id: str) -> tuple[str, ...]:
        """Ids of the content among what is known of a customer."""
        keys = (record[1] for record in self.of(customer_id).seen)
        return tuple({self._content[key]: None for key in keys if key in self._content})

    def observe(self, lines: Iterable[Line]) -> None:
        """Remember what happened."""
        for line in lines:
            is_reading = line.type in TOUCH_OF_TYPE and line.item_key in self._content
            if line.customer_id is not None and (self._reads or not is_reading):
                self._states[line.customer_id] = self._schema.merge(self.of(line.customer_id), self._schema.lift(line))


class Trial(NamedTuple):
    """A run of each way of knowing, and who each visit was; readers had read something before."""

    customer_ids: list[str]
    is_reader: NDArray[np.bool_]
    runs: dict[str, Outcome]

    def worth(self, name: str, keep: NDArray[np.bool_], to: str | None = None) -> Interval:
        """Mean true value of a slate, minor units, or its paired difference to another run; by customer."""
        values = np.array(self.runs[name].values) - (np.array(self.runs[to].values) if to else 0)
        _, customer = np.unique(np.array(self.customer_ids)[keep], return_inverse=True)
        return mean_interval(np.bincount(customer, values[keep]) / np.bincount(customer))


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


def policy_of(engine: Engine, memory: Memory, left_out: Memory | None = None) -> Policy:
    """The model as a policy over what a memory holds; what was read according to ``left_out`` is not offered."""

    def policy(customer_id: str, now: int, n: int) -> list[str]:
        exclude = left_out.read_by(customer_id) if left_out else ()
        slate = engine.decide(memory.of(customer_id), SlateRequest(limit=n, exclude=exclude), now)
        return [item.item_id for item in slate.items]

    return policy


def trial(home: Path, *, events: int, n_visits: int, seed: int = 0) -> Trial:
    """Simulate, learn, and serve the same visitors under each way of knowing."""
    simulate(home, events=events, seed=seed, end=END)
    data, journey = Data(home, END), Journey.load(None)
    engine = learned(data, journey)
    content = {key64(item.item_id): item.item_id for item in data.catalog if item.kind == "content"}
    environment = Environment.after(events=events, seed=seed, end=END)
    customer_ids = [visit.customer_id for visit in environment.visitors(n_visits)]

    def memory(*, reads: bool) -> Memory:
        return Memory(data.lines, sorted(set(customer_ids)), END, journey, content, reads=reads)

    def run(policy: Policy, *memories: Memory) -> Outcome:
        def observe(lines: list[Line]) -> None:
            for one in memories:
                one.observe(lines)

        return run_policy(environment, policy, n_visits, n=N_SLOTS, observe=observe)

    knows, blind, half, read = (memory(reads=reads) for reads in (True, False, False, True))
    is_reader = np.array([knows.of(customer_id).n_read > 0 for customer_id in customer_ids])
    runs = {
        KNOWS: run(policy_of(engine, knows), knows),
        LEAVES_OUT: run(policy_of(engine, half, read), half, read),
        BLIND: run(policy_of(engine, blind), blind),
    }
    return Trial(customer_ids, is_reader, runs)


def main() -> None:
    """Run the trial and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000, help="size of the simulated log")
    parser.add_argument("--visits", type=int, default=1_500, help="how many slates each run shows")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as work, threadpool_limits(1, "blas"):
        found = trial(Path(work) / "shop", events=asked.events, n_visits=asked.visits, seed=asked.seed)
    table = Table("visits of", "customers", "the model", "true value of a slate", "to the blind one", "of it")
    everybody = np.ones(len(found.customer_ids), np.bool_)
    for who, keep in (("all", everybody), ("readers", found.is_reader), ("others", ~found.is_reader)):
        n = len(set(np.array(found.customer_ids)[keep].tolist()))
        for name in found.runs:
            value, gain = found.worth(name, keep), found.worth(name, keep, BLIND)
            share = f"{gain.mean / found.worth(BLIND, keep).mean:+.1%}"
            more = ("", "") if name == BLIND else (_text(gain), share)
            table.add_row(who if name == KNOWS else "", str(n) if name == KNOWS else "", name, _text(value), *more)
        table.add_section()
    Console(width=140).print(table)


def _text(interval: Interval) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


if __name__ == "__main__":
    main()
