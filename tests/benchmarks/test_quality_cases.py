"""Cases of the quality benchmark: what is asked, and what may be known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.cases import Cases, inner_split, outer_split
from benchmarks.quality.datasets import DATASETS
from benchmarks.quality.lists import NOTHING
from benchmarks.quality.sources import Held, prepare
from benchmarks.quality.tasks import TASKS, Cut, Task
from features.errors import InvalidData
from tests.benchmarks.quality_case import HOUR_US, events_of

LATER = Task("t", "d", "later", (("ndcg", 10),), Cut(time=0.5), days=1)


def asked(cases: Cases) -> list[tuple[str, list[int]]]:
    return [(name, targets.tolist()) for name, targets in zip(cases.customer_ids, cases.targets, strict=True)]


def test_later_items_are_those_known_before_the_cut_of_customers_with_a_past():
    events = events_of([(0, 0, 0), (0, 1, 10), (0, 2, 11), (1, 1, 1), (1, 0, 12), (1, 1, 20), (2, 0, 12)])
    past, cases = outer_split(LATER, events, None)
    assert past.now == 10 * HOUR_US
    assert asked(cases) == [("c0", [101]), ("c1", [100, 101])]
    assert asked(outer_split(replace(LATER, hide_seen=True), events, None).cases) == [("c0", [101]), ("c1", [100])]


def test_the_past_holds_nothing_from_the_cut_on():
    events = events_of([(0, 0, 0), (0, 1, 10), (1, 1, 1), (1, 0, 20)])
    assert (outer_split(LATER, events, None).past.events.at < 10 * HOUR_US).all()


def test_a_next_item_is_asked_after_each_event_of_a_session_with_what_came_before():
    half = [(0, 0, 0.0), (0, 1, 0.1), (0, 0, 20.0), (0, 1, 20.2), (0, 1, 20.4), (0, 0, 30.0)]
    split = outer_split(replace(LATER, protocol="next"), events_of(half), None)
    assert asked(split.cases) == [("c0", [101]), ("c0", [101])]
    assert (split.cases.queries.last - split.cases.queries.first).tolist() == [3, 4]
    assert split.cases.is_new_in_session().tolist() == [True, False]
    lists = np.array([[100, 102, 101], [101, 100, 102]])
    assert split.cases.without_session(lists).tolist() == [[102, 101, NOTHING], [102, NOTHING, NOTHING]]


def test_held_out_items_are_asked_of_customers_with_a_history():
    events = events_of([(0, 0, 0), (1, 1, 0)])
    held = Held(np.array(["c1", "c0", "c1", "stranger"]), np.array([7, 8, 5, 9]))
    split = outer_split(replace(LATER, protocol="split", cut=Cut()), events, held)
    assert asked(split.cases) == [("c0", [8]), ("c1", [5, 7])]
    assert len(split.past.events) == 2


def test_validation_of_sequences_holds_out_the_last_item_again():
    events = events_of([(0, 0, 0), (0, 1, 24), (0, 2, 48), (1, 0, 0)])
    task = replace(LATER, protocol="last", cut=Cut())
    held = Held(np.array(["c0", "c1"]), np.array([9, 9]))
    inner = inner_split(task, outer_split(task, events, held).past)
    assert asked(inner.cases) == [("c0", [102])]
    assert inner.past.events.item_idx.tolist() == [0, 1]


def test_validation_of_time_lies_before_the_cut():
    rows = [(c, item, hour) for c in range(3) for item, hour in ((0, 0), (1, 40), (0, 45), (1, 60), (0, 100))]
    past = outer_split(LATER, events_of(rows), None).past
    inner = inner_split(LATER, past)
    assert inner.past.now == 40 * HOUR_US
    assert asked(inner.cases) == [("c0", [100]), ("c1", [100]), ("c2", [100])]


def test_cases_are_named_by_what_is_asked():
    cases = outer_split(LATER, events_of([(0, 0, 0), (0, 0, 10), (1, 0, 1), (1, 0, 20)]), None).cases
    assert cases.digest() == cases.take(np.array([0, 1])).digest()
    assert cases.digest() != cases.take(np.array([0])).digest()


def test_a_dataset_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidData, match="uci_online_retail"):
        prepare(DATASETS["online-retail"], tmp_path, tmp_path / "out")


def test_every_task_belongs_to_a_dataset_and_has_a_name_of_its_own():
    assert {task.dataset for task in TASKS} == set(DATASETS)
    assert len({task.slug for task in TASKS}) == len(TASKS)
