"""``python -m benchmarks.reservations``: what reserving adds to a slate, in one run over a real store.

A slate is decided in turn with its reservation and as a dry run, which reads and decides the same and writes nothing.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from benchmarks.shop import made
from features.settings import load_settings
from service.bootstrap import assemble, running
from service.embedded import EmbeddedStore
from service.models import SlateOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from service.recommend import Recommend

BUDGET_MS: Final = 3.0
WARM: Final = 20


class Added(NamedTuple):
    """Milliseconds of a slate without and with its reservation, at the median and at the 99 % quantile.

    ``n_failed`` slates are not counted: the store did not answer in time, as on a machine with much else to do.
    """

    dry_p50: float
    dry_p99: float
    reserved_p50: float
    reserved_p99: float
    n_failed: int

    @property
    def p99(self) -> float:
        """What the reservation adds at the 99 % quantile."""
        return self.reserved_p99 - self.dry_p99


async def added_by_reserving(recommend: Recommend, customer_ids: Sequence[str], n: int) -> Added:
    """Measure ``n`` slates of each sort, one after the other, customers in turn."""
    dry, reserved = SlateOptions(dry_run=True), SlateOptions()
    took: dict[SlateOptions, list[float]] = {dry: [], reserved: []}
    for number in range(-WARM, n):
        for options, times in took.items():
            begun = time.perf_counter()
            answer = await recommend(customer_ids[number % len(customer_ids)], options)
            if number >= 0 and answer["served_by"]["degraded"]["level"] == 0:
                times.append((time.perf_counter() - begun) * 1_000)
    (dry_p50, dry_p99), (p50, p99) = (np.percentile(times, (50, 99)).tolist() for times in took.values())
    return Added(dry_p50, dry_p99, p50, p99, n - len(took[reserved]))


def main() -> None:
    """Measure on a small shop with a store of its own, and print."""
    with tempfile.TemporaryDirectory() as directory:
        shop = made(Path(directory), 50_000, 400)
        with own_store(shop.home) as url:
            added = asyncio.run(_measured(shop.home, url, shop.customer_ids))
    print(f"dry run    p50 {added.dry_p50:.2f} ms, p99 {added.dry_p99:.2f} ms")
    print(f"reserved   p50 {added.reserved_p50:.2f} ms, p99 {added.reserved_p99:.2f} ms")
    print(
        f"reserving adds {added.p99:.2f} ms at p99 (budget {BUDGET_MS} ms); {added.n_failed} slates were not reserved"
    )


async def _measured(home: Path, url: str, customer_ids: Sequence[str]) -> Added:
    program = assemble(load_settings(home=home, redis_url=url))
    async with running(program):
        return await added_by_reserving(program.recommend, customer_ids, 2_000)


@contextmanager
def own_store(home: Path) -> Iterator[str]:
    """Address of a store that lives as long as the block."""
    store = EmbeddedStore(home)
    store.prepare()
    process = subprocess.Popen([sys.executable, "-m", "service.embedded", str(store.directory)])
    try:
        while not store.answers():
            time.sleep(0.05)
        yield store.url
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
