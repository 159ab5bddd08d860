"""Counters, gauges and histograms that add up in this process and are written out together now and then.

With several workers each change of a number is a write to a file with a lock and a look at the process's id, about
eleven a request. Here a change is an addition; :func:`write_out` makes it visible to whoever is asked for the numbers.
Only the thread of the loop may count with these.

A process that ends by itself or is asked to end loses nothing; one that is killed outright loses what it counted since
the last time, ``EVERY_S`` seconds at most.
"""

from __future__ import annotations

import asyncio
import atexit
from bisect import bisect_left
from typing import Any, Final

import prometheus_client

EVERY_S: Final = 0.25
_tallies: Final[list[Counter | Gauge | Histogram]] = []


class Counter(prometheus_client.Counter):
    """A counter, kept back."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._added = 0.0
        _tallies.append(self)

    def inc(self, amount: float = 1, exemplar: Any = None) -> None:
        """Count."""
        self._added += amount

    def write(self) -> None:
        """Add to the number that everybody sees."""
        if self._added:
            super().inc(self._added)
            self._added = 0.0


class Gauge(prometheus_client.Gauge):
    """A gauge that goes up and down, kept back."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._added = 0.0
        _tallies.append(self)

    def inc(self, amount: float = 1) -> None:
        """Go up."""
        self._added += amount

    def dec(self, amount: float = 1) -> None:
        """Go down."""
        self._added -= amount

    def write(self) -> None:
        """Move the number that everybody sees."""
        if self._added:
            super().inc(self._added)
            self._added = 0.0


class Histogram(prometheus_client.Histogram):
    """A histogram, kept back."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._added, self._n = 0.0, [0] * len(self._upper_bounds)
        _tallies.append(self)

    def observe(self, amount: float, exemplar: Any = None) -> None:
        """Take in an amount, which belongs to the first bucket whose bound is not below it."""
        self._added += amount
        self._n[bisect_left(self._upper_bounds, amount)] += 1

    def write(self) -> None:
        """Add to the numbers that everybody sees."""
        if not any(self._n):
            return
        self._sum.inc(self._added)
        for bucket, n in zip(self._buckets, self._n, strict=True):
            if n:
                bucket.inc(n)
        self._added, self._n = 0.0, [0] * len(self._upper_bounds)


def write_out() -> None:
    """Write out what was counted since the last time."""
    for each in _tallies:
        each.write()


async def keep_writing() -> None:
    """Write out for ever."""
    while True:
        await asyncio.sleep(EVERY_S)
        write_out()


atexit.register(write_out)
