from __future__ import annotations

import math

import numpy as np
import pytest

from recommender.blend import TASKS, Blend
from training.evaluate import BASELINES, HISTORY_SIZES, SYSTEM, evaluate
from training.load import Data
from training.metrics import METRICS
from training.split import PROTOCOLS, cases_of, windows_of


@pytest.fixture(scope="module")
def cases(shop, journey):
    data = Data(shop)
    windows = windows_of(data)
    return cases_of(data, windows.test, windows.until, journey.schema, n=60, seed=0)


@pytest.fixture(scope="module")
def evaluation(published, cases):
    return evaluate(published.fitted.engine, cases, 1, 2)


def value(evaluation, **of):
    (row,) = [row for row in evaluation.rows if all(getattr(row, name) == wanted for name, wanted in of.items())]
    return row


def test_every_task_protocol_slice_system_and_metric_has_one_row(evaluation):
    n_slices = 1 + 4 + len(HISTORY_SIZES)
    keys = {row[:5] for row in evaluation.rows}
    assert len(keys) == len(evaluation.rows)
    assert len(keys) == len(TASKS) * len(PROTOCOLS) * n_slices * (1 + len(BASELINES)) * len(METRICS)


def test_values_are_shares_within_their_own_intervals(evaluation):
    for row in evaluation.rows:
        if row.n_cases:
            assert 0 <= row.value.low <= row.value.mean + 1e-12
            assert row.value.mean - 1e-12 <= row.value.high <= 1


def test_slices_by_history_and_by_stage_each_add_up_to_all(evaluation):
    for task in TASKS:
        for protocol in PROTOCOLS:
            rows = {
                row.slice: row.n_cases
                for row in evaluation.rows
                if (row.task, row.protocol, row.system, row.metric) == (task, protocol, SYSTEM, "ndcg@10")
            }
            for kind in ("stage: ", "history: "):
                assert sum(n for name, n in rows.items() if name.startswith(kind)) == rows["all"]


def test_the_delta_is_to_the_best_baseline_of_the_slice(evaluation):
    of = {"task": "any", "protocol": "session", "slice": "all", "metric": "ndcg@10"}
    best = max(value(evaluation, system=name, **of).value.mean for name in BASELINES)
    own = value(evaluation, system=SYSTEM, **of)
    assert own.delta is not None
    assert own.delta.mean == pytest.approx(own.value.mean - best)
    assert all(row.delta is None for row in evaluation.rows if row.system != SYSTEM)


def test_a_blend_of_one_source_scores_what_its_baseline_scores(published, cases):
    engine = published.fitted.engine
    only = engine.with_blend(Blend.only("als", engine.sources))
    found = evaluate(only, cases, 1, 2)
    for row in [row for row in found.rows if row.system == SYSTEM]:
        baseline = value(
            found, task=row.task, protocol=row.protocol, slice=row.slice, metric=row.metric, system="ALS"
        ).value
        assert np.array_equal(row.value, baseline, equal_nan=True)


def test_own_frequency_finds_nothing_where_only_the_untouched_counts(evaluation):
    of = {"task": "new", "slice": "all", "metric": "recall@20", "system": "own frequency"}
    assert all(value(evaluation, protocol=protocol, **of).value.mean == 0 for protocol in PROTOCOLS)


def test_a_slice_without_cases_says_so_and_claims_no_value(evaluation):
    empty = [row for row in evaluation.rows if not row.n_cases]
    assert all(math.isnan(row.value.mean) for row in empty)


def test_the_headline_names_each_task_and_protocol_and_no_empty_one(evaluation):
    headline = evaluation.headline()
    assert (
        headline["any/session/ndcg_at_10"]
        == value(evaluation, task="any", protocol="session", slice="all", system=SYSTEM, metric="ndcg@10").value.mean
    )
    assert not any(math.isnan(figure) for figure in headline.values())
    assert len(headline) == len(TASKS) * len(PROTOCOLS) * len(METRICS)
