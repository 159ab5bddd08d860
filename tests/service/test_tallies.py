from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from service import tallies
from service.metrics import DIRECTORY
from tests.reliability.served import worker
from tests.service.shop import publish, until

BUCKETS = (0.001, 0.25, 1, 5)
ANSWERED = "rihla_requests_total"
ROUTE = "/v1/customers/{customer_id}/recommendations"
COUNTS = """
from service.metrics import ADMITTED, SECONDS, UNDER_WAY, child
child(ADMITTED, "live", "at_once").inc()
child(SECONDS, "home").observe(0.5)
child(UNDER_WAY, "live").inc()
"""


def samples(registry):
    found = (sample for metric in registry.collect() for sample in metric.samples)
    return {(each.name, *each.labels.items()): each.value for each in found if not each.name.endswith("_created")}


def numbers_in(directory):
    """What other processes see of those that count into a directory."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))
    return samples(registry)


@given(st.lists(st.lists(st.floats(-1, 10) | st.sampled_from(BUCKETS))))
def test_a_histogram_is_the_one_that_is_written_at_once(times):
    kept_back, at_once = CollectorRegistry(), CollectorRegistry()
    ours = tallies.Histogram("took", "Time.", ["step"], registry=kept_back, buckets=BUCKETS).labels("read")
    theirs = prometheus_client.Histogram("took", "Time.", ["step"], registry=at_once, buckets=BUCKETS).labels("read")
    for each in times:
        for took_s in each:
            ours.observe(took_s)
            theirs.observe(took_s)
        tallies.write_out()
    assert samples(kept_back) == pytest.approx(samples(at_once))


@given(st.lists(st.lists(st.floats(0, 10))))
def test_a_counter_is_the_one_that_is_written_at_once(amounts):
    kept_back, at_once = CollectorRegistry(), CollectorRegistry()
    ours = tallies.Counter("made", "Made.", ["kind"], registry=kept_back).labels("one")
    theirs = prometheus_client.Counter("made", "Made.", ["kind"], registry=at_once).labels("one")
    for each in amounts:
        for amount in each:
            ours.inc(amount)
            theirs.inc(amount)
        tallies.write_out()
    assert samples(kept_back) == pytest.approx(samples(at_once))


@given(st.lists(st.lists(st.booleans())))
def test_a_gauge_goes_up_and_down(moves):
    registry = CollectorRegistry()
    gauge = tallies.Gauge("here", "Here.", registry=registry)
    for each in moves:
        for is_up in each:
            gauge.inc() if is_up else gauge.dec()
        tallies.write_out()
    assert samples(registry) == {("here",): sum(1 if is_up else -1 for each in moves for is_up in each)}


def test_nothing_is_seen_before_it_is_written_out():
    registry = CollectorRegistry()
    counter = tallies.Counter("seen", "Seen.", registry=registry)
    counter.inc()
    assert samples(registry) == {("seen_total",): 0}
    tallies.write_out()
    tallies.write_out()
    assert samples(registry) == {("seen_total",): 1}


def test_a_process_that_ends_has_written_everything(tmp_path):
    environment = {**os.environ, DIRECTORY: str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", COUNTS], env=environment, check=True, timeout=60)
    numbers = numbers_in(tmp_path)
    assert numbers["rihla_admission_total", ("class", "live"), ("outcome", "at_once")] == 1
    assert numbers["rihla_request_seconds_bucket", ("route", "home"), ("le", "0.25")] == 0
    assert numbers["rihla_request_seconds_bucket", ("route", "home"), ("le", "0.5")] == 1
    assert numbers["rihla_request_seconds_count", ("route", "home")] == 1
    assert numbers["rihla_request_seconds_sum", ("route", "home")] == 0.5
    assert numbers["rihla_under_way", ("class", "live")] == 1


def n_answered(directory):
    return numbers_in(directory).get((ANSWERED, ("route", ROUTE), ("status", "200")), 0)


def test_others_see_what_a_worker_counts_and_its_end_loses_nothing(home, store, tmp_path, monkeypatch):
    publish(home)
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    with worker(home, store.url) as served:
        with served.client() as http:
            http.get("/v1/customers/ann/recommendations").raise_for_status()
            until(lambda: n_answered(tmp_path) == 1)
            for _ in range(5):
                http.get("/v1/customers/ann/recommendations").raise_for_status()
        served.process.terminate()
        assert served.process.wait(10) == 0
        assert n_answered(tmp_path) == 6
