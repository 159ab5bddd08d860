"""``python -m benchmarks.reservations``: what reserving adds to a slate, in one run over a real store.

A slate is decided in turn with its reservation and as a dry run, which reads and decides the same and writes nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from service.models import SlateOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.recommend import Recommend

BUDGET_MS: Final = 3.0
WARM: Final = 20


class Added(NamedTuple):
    """Milliseconds of a slate without and with its reservation, at the median and at the 99 % quantile."""

    dry_p50: float
    dry_p99: float
    reserved_p50: float
    reserved_p99: float

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
            await recommend(customer_ids[number % len(customer_ids)], options)
            if number >= 0:
                times.append((time.perf_counter() - begun) * 1_000)
    quantiles = (np.percentile(times, (50, 99)).tolist() for times in took.values())
    return Added(*(value for pair in quantiles for value in pair))


def main() -> None:
    """Measure on a small shop with a store of its own, and print."""
    import tempfile
    from pathlib import Path

    from benchmarks.served import service
    from benchmarks.shop import made
    from features.settings import load_settings
    from service.bootstrap import assemble, running

    async def measured(home: Path, url: str, customer_ids: Sequence[str]) -> Added:
        program = assemble(load_settings(home=home, redis_url=url))
        async with running(program):
            return await added_by_reserving(program.recommend, customer_ids, 2_000)

    with tempfile.TemporaryDirectory() as directory:
        shop = made(Path(directory), 50_000, 400)
        with service(shop.home) as served:
            added = asyncio.run(measured(shop.home, served.redis_url, shop.customer_ids))
    print(f"dry run    p50 {added.dry_p50:.2f} ms, p99 {added.dry_p99:.2f} ms")
    print(f"reserved   p50 {added.reserved_p50:.2f} ms, p99 {added.reserved_p99:.2f} ms")
    print(f"reserving adds {added.p99:.2f} ms at p99 (budget {BUDGET_MS} ms)")


if __name__ == "__main__":
    main()
