from __future__ import annotations

import math

import numpy as np
import pytest

from recommender.blend import TASKS, Blend
from training.evaluate import POOL, POOL_METRICS, evaluate, judge
from training.judging import BASELINES, SYSTEM, TWIN
from training.load import Data
from training.metrics import METRICS
from training.pooling import pooled
from training.segments import HISTORY_SIZES, MIN_CASES, SEEN_POLICY, segments_of, stages_of
from training.split import PROTOCOLS, cases_of, windows_of
from training.targets import facts_of, targets_of

OTHERS = ("customers: cold", "customers: warm", "targets: repeat", "targets: explore", "items: cold", "items: warm")


@pytest.fixture(scope="module")
def data(shop):
    return Data(shop)


@pytest.fixture(scope="module")
def cases(data, journey):
    windows = windows_of(data)
    return cases_of(data, windows.test, windows.until, journey.schema, n=60, seed=0)


@pytest.fixture(scope="module")
def facts(data):
    return facts_of(data, windows_of(data).test)


@pytest.fixture(scope="module")
def judged(published, cases, facts):
    return judge(published.fitted.engine, cases, facts, 1, 2)


@pytest.fixture(scope="module")
def evaluation(judged):
    return pooled([judged])


def row_of(evaluation, **of):
    (row,) = [row for row in evaluation.rows if all(getattr(row, name) == wanted for name, wanted in of.items())]
    return row


def n_by_slice(evaluation, task, protocol):
    of = (task, protocol, SYSTEM, "ndcg@10")
    return {r.slice: r.n_cases for r in evaluation.rows if (r.task, r.protocol, r.system, r.metric) == of}


def test_every_task_protocol_slice_system_and_metric_has_one_row(evaluation):
    n_slices = 1 + 4 + len(HISTORY_SIZES) + len(OTHERS) + 3
    keys = {row[:5] for row in evaluation.rows}
    assert len(keys) == len(evaluation.rows)
    n_columns = (2 + len(BASELINES)) * len(METRICS) + len(POOL_METRICS)
    assert len(keys) == len(TASKS) * len(PROTOCOLS) * n_slices * n_columns


def test_values_are_shares_within_their_own_intervals(evaluation):
    for row in evaluation.rows:
        if row.n_cases and row.metric != "n_candidates":
            assert 0 <= row.value.low <= row.value.mean + 1e-12
            assert row.value.mean - 1e-12 <= row.value.high <= 1 + 1e-12


def test_slices_of_customers_each_add_up_to_all(evaluation):
    for task in TASKS:
        for protocol in PROTOCOLS:
            n = n_by_slice(evaluation, task, protocol)
            for kind in ("stage: ", "history: ", "customers: "):
                assert sum(of for name, of in n.items() if name.startswith(kind)) == n["all"]


def test_a_slice_of_targets_has_the_cases_that_have_such_a_target(evaluation, cases, facts):
    targets = targets_of(cases, facts)
    for code, protocol in enumerate(PROTOCOLS):
        n = n_by_slice(evaluation, "any", protocol)
        mine = cases.protocol[targets.case] == code
        assert n["targets: repeat"] == len(np.unique(targets.case[mine & targets.is_touched]))
        assert n["targets: explore"] == n_by_slice(evaluation, "new", protocol)["all"]
        assert n["items: cold"] == len(np.unique(targets.case[mine & targets.is_cold]))
        assert n_by_slice(evaluation, "new", protocol)["targets: repeat"] == 0


def test_a_case_is_hit_where_its_repeats_or_its_new_items_are(evaluation):
    of = {"task": "any", "protocol": "window", "system": SYSTEM, "metric": "hit_rate@20"}
    hits = {s: row_of(evaluation, slice=s, **of) for s in ("all", "targets: repeat", "targets: explore")}
    n_hits = {name: row.value.mean * row.n_cases for name, row in hits.items()}
    assert max(n_hits["targets: repeat"], n_hits["targets: explore"]) <= n_hits["all"] + 1e-9
    assert n_hits["all"] <= n_hits["targets: repeat"] + n_hits["targets: explore"] + 1e-9


def test_the_delta_is_to_the_best_baseline_of_the_slice_and_names_it(evaluation):
    of = {"task": "any", "protocol": "session", "slice": "all", "metric": "ndcg@10"}
    means = {name: row_of(evaluation, system=name, **of).value.mean for name in BASELINES}
    own = row_of(evaluation, system=SYSTEM, **of)
    assert own.delta is not None
    assert own.best == max(means, key=means.__getitem__)
    assert own.delta.mean == pytest.approx(own.value.mean - means[own.best])
    assert all(row.delta is None and row.stage_gain is None for row in evaluation.rows if row.system != SYSTEM)


def test_what_the_stage_adds_is_the_difference_to_the_same_model_without_it(evaluation):
    for row in [row for row in evaluation.rows if row.system == SYSTEM and row.n_cases]:
        twin = row_of(evaluation, system=TWIN, **{n: getattr(row, n) for n in ("task", "protocol", "slice", "metric")})
        assert row.stage_gain is not None
        assert row.stage_gain.mean == pytest.approx(row.value.mean - twin.value.mean)


def test_a_model_that_knows_no_stage_gains_nothing_by_it(published, cases, facts):
    engine = published.fitted.engine
    found = evaluate(engine.with_blend(engine.blend.pooled()), cases, facts, 1, 2)
    assert {row.stage_gain for row in found.rows if row.system == SYSTEM and row.n_cases} == {(0, 0, 0)}


def test_a_blend_of_one_source_scores_what_its_baseline_scores(published, cases, facts):
    engine = published.fitted.engine
    found = evaluate(engine.with_blend(Blend.only("als", engine.sources)), cases, facts, 1, 2)
    values = {(*row[:3], row.metric, row.system): row.value for row in found.rows}
    for (*key, system), value in values.items():
        if system == SYSTEM:
            assert np.array_equal(value, values[*key, "ALS"], equal_nan=True)


def test_no_ranking_recalls_more_than_the_candidates_hold(evaluation):
    for row in [row for row in evaluation.rows if row.metric == "recall@20" and row.n_cases]:
        of = {name: getattr(row, name) for name in ("task", "protocol", "slice")}
        assert row.value.mean <= row_of(evaluation, system=POOL, metric="recall@pool", **of).value.mean + 1e-12


def test_own_frequency_finds_nothing_where_only_the_untouched_counts(evaluation):
    of = {"task": "new", "slice": "all", "metric": "recall@20", "system": "own frequency"}
    assert all(row_of(evaluation, protocol=protocol, **of).value.mean == 0 for protocol in PROTOCOLS)


def test_a_slice_without_cases_says_so_and_claims_no_value(evaluation):
    empty = [row for row in evaluation.rows if not row.n_cases]
    assert empty
    assert all(math.isnan(row.value.mean) and not row.is_judged for row in empty)


def test_a_slice_is_judged_from_two_hundred_cases_on(evaluation):
    row = evaluation.rows[0]
    assert row._replace(n_cases=MIN_CASES).is_judged
    assert not row._replace(n_cases=MIN_CASES - 1).is_judged


def test_the_headline_names_each_task_and_protocol_and_no_empty_one(evaluation):
    headline = evaluation.headline()
    row = row_of(evaluation, task="any", protocol="session", slice="all", system=SYSTEM, metric="ndcg@10")
    assert headline["any/session/ndcg_at_10"] == row.value.mean
    assert not any(math.isnan(figure) for figure in headline.values())
    assert len(headline) == len(TASKS) * len(PROTOCOLS) * len(METRICS)


def test_tables_are_flat_and_as_long_as_the_rows(evaluation):
    tables = evaluation.tables()
    assert [len(tables[name]) for name in ("evaluation", "beyond")] == [len(evaluation.rows), len(evaluation.beyond)]
    plain = (str, int, float, type(None))
    assert all(isinstance(value, plain) for rows in tables.values() for row in rows for value in row.values())
    assert {"n_customers", "best", "delta_low", "stage_gain_high"} <= set(tables["evaluation"][0])
    assert {"coverage", "calibration", "system"} <= set(tables["beyond"][0])


def test_beyond_accuracy_popularity_shows_everybody_the_same_few(evaluation):
    of = {(r.system): r.figures for r in evaluation.beyond if r[:3] == ("any", "window", "all")}
    assert of["decayed popularity"].coverage < of[SYSTEM].coverage
    assert of["decayed popularity"].gini > of[SYSTEM].gini
    assert of[SYSTEM].user_coverage == 1


def test_origins_are_joined_case_by_case(judged, evaluation):
    twice = pooled([judged, judged])
    of = {"task": "any", "protocol": "session", "slice": "all", "system": SYSTEM, "metric": "ndcg@10"}
    once, both = row_of(evaluation, **of), row_of(twice, **of)
    assert both.n_cases == 2 * once.n_cases
    assert both.n_customers == once.n_customers
    assert both.value.mean == pytest.approx(once.value.mean)
    # The same customers again tell nothing new: the interval may not get narrower for it.
    assert both.value.high - both.value.low == pytest.approx(once.value.high - once.value.low)
    assert len(twice.origins) == 2
    figures = [{row[:4]: row.figures for row in found.beyond} for found in (evaluation, twice)]
    assert all(np.allclose(figures[0][key], figures[1][key], equal_nan=True) for key in figures[0])


def test_a_baseline_that_is_missing_at_one_origin_is_left_out_of_all(judged, published, cases, facts):
    kept = [column for column in judged.columns if column[0] != "ALS"]
    at = [judged.columns.index(column) for column in kept]
    scores = {key: found._replace(values=found.values[:, at]) for key, found in judged.scores.items()}
    without = type(judged)(judged.origin, tuple(kept), scores, judged.beyond)
    assert "ALS" not in {row.system for row in pooled([judged, without]).rows}
    assert "ALS" not in {row.system for row in pooled([without, judged]).rows}


def test_stages_of_segments_are_those_of_the_journey(published, cases, facts):
    engine = published.fitted.engine
    stage = stages_of(engine, cases)
    for segment in segments_of(engine, cases, targets_of(cases, facts)):
        if segment.name.startswith("stage: "):
            assert set(stage[segment.cases]) <= {segment.name.removeprefix("stage: ")}
    assert [policy.stage for policy in SEEN_POLICY] == ["awareness", "engagement", "transaction", "retention"]
    assert all(policy.task in TASKS and policy.metric in METRICS for policy in SEEN_POLICY)
