"""What is counted. Labels come from closed sets; none carries an id.

With several workers every process writes its numbers to ``PROMETHEUS_MULTIPROC_DIR`` (set by the
supervisor) and whichever is asked adds them up. What each request counts is kept back for a moment, see ``tallies``:
the numbers of the worker that is asked are exact, those of the others up to ``EVERY_S`` seconds old.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from service import tallies

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 5)

REQUESTS: Final = tallies.Counter("rihla_requests", "HTTP requests.", ["route", "status"])
SECONDS: Final = tallies.Histogram("rihla_request_seconds", "Time to the last byte.", ["route"], buckets=_SECONDS)
SLATES: Final = tallies.Counter("rihla_slates", "Slates decided.", ["level", "strategy", "stage"])
DEGRADED: Final = tallies.Counter("rihla_degraded", "Slates below level 0, or with a reason.", ["level", "reason"])
EVENTS: Final = Counter("rihla_events", "Events received.", ["outcome"])
UNREADABLE: Final = Counter("rihla_state_unreadable", "Stored states that could not be trusted.", ["why"])
RESERVATIONS: Final = tallies.Counter(
    "rihla_reservations", "Slates by whether they were reserved, and tries.", ["outcome"]
)
OWED: Final = Counter(
    "rihla_owed", "Keyed slates given while the store was away, and what became of them.", ["outcome"]
)
DECISIONS: Final = Counter("rihla_decisions", "Decision records.", ["outcome"])
BUNDLES: Final = Counter("rihla_bundles", "Bundles opened by a worker.", ["outcome"])
DRAINED: Final = Counter("rihla_drained", "Records written to the log.", ["kind"])
CLEANED: Final = Counter("rihla_cleaned", "What the clean-up removed from the log.", ["kind"])
SWEPT: Final = Counter("rihla_stage_changes", "Stage changes made by the clock.", ["stage"])
STEP_SECONDS: Final = tallies.Histogram("rihla_step_seconds", "Time of a slate's steps.", ["step"], buckets=_SECONDS)
LOOP_LAG: Final = tallies.Histogram("rihla_loop_lag_seconds", "How late a worker's event loop ran.", buckets=_SECONDS)
ADMITTED: Final = tallies.Counter(
    "rihla_admission", "Requests by class, and whether they were let in.", ["class", "outcome"]
)
WAITED: Final = tallies.Histogram("rihla_admission_wait_seconds", "Wait for a turn.", ["class"], buckets=_SECONDS)
UNDER_WAY: Final = tallies.Gauge("rihla_under_way", "Requests under way.", ["class"], multiprocess_mode="livesum")
PROBES: Final = Counter("rihla_store_probes", "Calls to a store that is taken to be away.", ["calls"])
LOG_FIELDS_DROPPED: Final = Counter("rihla_log_fields_dropped", "Fields of log lines that are on no list.")
ITEMS_DROPPED: Final = Counter("rihla_items_dropped", "Items left out of a slate.", ["why"])
STORE_LOST: Final = Gauge("rihla_store_lost", "Whether the store has lost data.", multiprocess_mode="livemax")
STORE_UP: Final = Gauge("rihla_store_up", "Whether the store answers.", ["calls"], multiprocess_mode="livemin")


@cache
def child(metric: Any, *labels: str | int) -> Any:
    """What counts under some labels, looked up once: by name it costs as much as counting itself."""
    return metric.labels(*labels)


def render() -> bytes:
    """All numbers of all processes, in Prometheus' text format."""
    tallies.write_out()
    if DIRECTORY not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget_process(pid: int, directory: str) -> None:
    """Drop the gauges of a process that has ended; its counters stay."""
    mark_process_dead(pid, directory)  # type: ignore[no-untyped-call]
