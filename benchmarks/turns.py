"""``python -m benchmarks.turns OTHER``: deciding and answering in this checkout and in another one, by turns.

Both open the bundles of one made shop, each in a process of its own that waits while the other works. A round is the
processor time of slates for some hundred customers: decided, made into an answer with short reasons, and encoded. What
is printed is the median of the rounds and the quartiles of their ratios: it compares where other work goes on beside.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS: Final = 24
N_CUSTOMERS: Final = 300
LIMIT: Final = 8
CHILD: Final = "import pathlib, runpy, sys; runpy.run_path(sys.argv[1])['answer'](pathlib.Path(sys.argv[2]))"
KINDS: Final = ("full", "blend only")


def main() -> None:
    """Print a line for each of the shop's bundles."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    parser.add_argument("other", type=Path, help="a checkout of another version")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rihla-bench-") as home:
        for kind, line in zip(KINDS, by_turns(Path(home), options.other, options.events, options.rounds), strict=True):
            print(f"{kind}: {line}")


def by_turns(home: Path, other: Path, events: int, rounds: int) -> list[str]:
    """What each bundle's rounds say."""
    from benchmarks.shop import made

    if not (other / "recommender").is_dir():
        raise RuntimeError(f"{other}: expected a checkout of this project")
    shop = made(home, events, N_CUSTOMERS)
    asked = {"home": str(home), "bundles": shop.bundles, "customer_ids": list(shop.customer_ids), "now": shop.now}
    (home / "asked.json").write_text(json.dumps(asked))
    here = Path(__file__).resolve().parent.parent
    with ExitStack() as stack:
        children = [stack.enter_context(_child(checkout, home)) for checkout in (other.resolve(), here)]
        if [_told(child, "") for child in children] != [str(other.resolve()), str(here)]:
            raise RuntimeError(f"{other}: expected a checkout that opens the bundles of this one")
        taken: list[list[list[float]]] = [[[], []] for _ in shop.bundles]
        for number in range(rounds):
            for bundle in range(len(shop.bundles)):
                for place in (0, 1) if number % 2 else (1, 0):
                    taken[bundle][place].append(float(_told(children[place], str(bundle))))
    return [compared(*both) for both in taken]


def compared(before: Sequence[float], after: Sequence[float]) -> str:
    """Medians of both, and the quartiles of the ratio by rounds."""
    low, middle, high = np.quantile(np.array(after) / np.array(before), [0.25, 0.5, 0.75])
    return (
        f"{np.median(before):,.0f} µs there, {np.median(after):,.0f} µs here,"
        f" {middle:.2f} times as much (quartiles {low:.2f} to {high:.2f})"
    )


def _child(checkout: Path, home: Path) -> subprocess.Popen[str]:
    """A process that does what :func:`answer` says with the modules of a checkout."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, __file__, str(home)],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout), "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _told(child: subprocess.Popen[str], line: str) -> str:
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("expected a child with pipes")
    if line:
        child.stdin.write(f"{line}\n")
        child.stdin.flush()
    return child.stdout.readline().strip()


def answer(home: Path) -> None:
    """In a child: the processor time of a slate, µs, with the bundle whose number comes in, as often as one comes."""
    from features.journey import Journey
    from recommender.engine import Engine
    from recommender.slate import SlateRequest
    from service.answers import encode, items_answer
    from service.current import BUNDLES
    from training.load import Data
    from training.split import states_of

    asked = json.loads((home / "asked.json").read_text())
    journey, ids, now = Journey.load(None), asked["customer_ids"], asked["now"]
    stored = states_of(Data(home / "data"), ids, np.full(len(ids), now, np.int64), journey.schema)
    states = [stored.state(row) for row in range(len(ids))]
    engines = [Engine.open(home / BUNDLES / name, schema_hash=journey.schema.hash) for name in asked["bundles"]]
    request = SlateRequest("home", LIMIT)

    def taken(engine: Engine) -> float:
        serving = SimpleNamespace(engine=engine, changed=lambda _item_key: None)
        begun = time.thread_time_ns()
        for state in states:
            encode(items_answer(engine.decide(state, request, now), serving, "short"))  # type: ignore[arg-type]
        return (time.thread_time_ns() - begun) / 1_000 / len(states)

    for engine in engines:
        taken(engine)
    gc.collect()
    gc.freeze()
    print(Path(sys.modules["recommender"].__path__[0]).resolve().parent, flush=True)
    for line in sys.stdin:
        print(taken(engines[int(line)]), flush=True)


if __name__ == "__main__":
    main()
