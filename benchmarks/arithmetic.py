"""The arithmetic behind the figures, apart from clocks and sockets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

LATE_S = 0.005
"""A request sent so long after its moment is late; a timer of the event loop alone is up to 1 ms behind."""
MAX_LATE_SHARE = 0.01


class OpenLoop(NamedTuple):
    """What an open-loop run found; times in seconds, latencies counted from the intended moment."""

    n: int
    n_failed: int
    p50_s: float
    p99_s: float
    max_s: float
    late_share: float
    rate: float

    @property
    def is_void(self) -> bool:
        """Whether the generator was too late for the run to say anything."""
        return self.late_share > MAX_LATE_SHARE


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile: the smallest value that at least ``share`` of all do not exceed; NaN for none."""
    if not values:
        return math.nan
    rank = math.ceil(share * len(values))
    return sorted(values)[max(rank, 1) - 1]


def schedule(rate: float, seconds: float) -> list[float]:
    """Moments of a constant rate, seconds after the start: all of them in ``[0, seconds)``, fixed beforehand."""
    return [number / rate for number in range(math.ceil(rate * seconds - 1e-9))]


def open_loop(intended: Sequence[float], sent: Sequence[float], done: Sequence[float], n_failed: int = 0) -> OpenLoop:
    """Latencies from when each request should have left, so that a stalled server cannot hide its queue.

    Parameters
    ----------
    intended, sent, done
        A moment a request, in seconds on one clock: due, taken up by the generator, answered.
    """
    latency = [end - due for due, end in zip(intended, done, strict=True)]
    late = sum(begun - due > LATE_S for due, begun in zip(intended, sent, strict=True))
    span = max(done, default=0.0) - min(intended, default=0.0)
    return OpenLoop(
        n=len(latency),
        n_failed=n_failed,
        p50_s=percentile(latency, 0.5),
        p99_s=percentile(latency, 0.99),
        max_s=max(latency, default=math.nan),
        late_share=late / len(latency) if latency else 0.0,
        rate=len(latency) / span if span > 0 else 0.0,
    )


def median(values: Sequence[float]) -> float:
    """Middle value; the mean of the two in the middle; NaN for none."""
    if not values:
        return math.nan
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
