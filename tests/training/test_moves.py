"""Learning moves: rows that never see the future, honest refusals, and reasons that hold on real customers."""

from __future__ import annotations

import math
from collections import defaultdict

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import DAY_US, Line
from features.journey import STAGES, Journey
from recommender.move_features import REASONS, Alive
from recommender.moves import Moves
from tests.features.histories import N_DAYS, SCHEMA, START_US
from tests.training.engines import CUSTOMERS, log_table, logs
from training.deeds import NEVER_AGAIN, SIGNALS, read_deeds
from training.importers import import_data
from training.load import Data
from training.log import EventLog
from training.move_rows import cut_offs, draw_moments, rows_of, visits
from training.moves import SPECS, happened, learn_moves, span_of, targets_of
from training.simulator import simulate

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
END_US = 20_600 * DAY_US
EVENTS = {reason.code: frozenset(reason.events) for reason in REASONS}


@pytest.fixture(scope="module")
def duckdb():
    return ibis.duckdb.connect()


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """A shop large enough for most moves, whose log goes on after the cut-off."""
    directory = tmp_path_factory.mktemp("larger") / "data"
    simulate(directory, events=100_000, seed=5, days=150, end=END_US)
    return Data(directory, END_US - 10 * DAY_US)


@pytest.fixture(scope="module")
def learned(larger, journey):
    return learn_moves(larger, journey, seed=0)


@given(logs, st.lists(st.tuples(st.sampled_from(CUSTOMERS), st.integers(-1, N_DAYS * DAY_US)), min_size=1))
def test_what_comes_next_and_what_came_last_is_found_for_every_case(duckdb, history, asked):
    deeds = read_deeds(duckdb.create_table("deeds", log_table(history), overwrite=True), SCHEMA)
    ids = deeds.customer_ids.tolist()
    cases = [(ids.index(customer), START_US + after) for customer, after in asked if customer in ids]
    customer, as_of = np.array(cases, np.int64).reshape(-1, 2).T
    for signal in SIGNALS:
        times = defaultdict(list)
        for line in history:
            if line.customer_id in ids and line.line_no == 0 and signal in SCHEMA.signals_of(line):
                times[ids.index(line.customer_id)].append(line.occurred_at)
        later = [min((t for t in times[c] if t >= now), default=NEVER_AGAIN) for c, now in cases]
        earlier = [max((t for t in times[c] if t < now), default=-NEVER_AGAIN) for c, now in cases]
        assert deeds.next_at(signal, customer, as_of).tolist() == later
        assert deeds.last_at(signal, customer, as_of).tolist() == earlier


def test_days_with_an_order_by_hand(duckdb):
    days = [("b", 0), ("a", 1), ("a", 1.5), ("a", 4), ("b", 9)]
    at = [(customer, START_US + round(day * DAY_US)) for customer, day in days]
    history = [
        Line(event_id=str(n), type="purchase", occurred_at=t, received_at=t, customer_id=customer)
        for n, (customer, t) in enumerate(at)
    ]
    deeds = read_deeds(duckdb.create_table("orders", log_table(history), overwrite=True), SCHEMA)
    first = START_US // DAY_US
    assert [column.tolist() for column in deeds.order_days(START_US + 5 * DAY_US)] == [
        [2, 1],
        [first + 1, first],
        [first + 4, first],
    ]


@given(st.integers(0, 400), st.sampled_from([1, 7, 14, 30, 60, 90]))
def test_every_horizon_ends_where_the_next_slice_or_the_history_does(days, horizon):
    span = span_of(horizon, 0, days * DAY_US)
    assert span.train_end + horizon * DAY_US == span.test < span.end
    assert span.end + horizon * DAY_US == days * DAY_US


def test_eight_days_carry_the_first_moves_and_a_year_all_of_them():
    week, left_out = targets_of(8 * DAY_US)
    assert [(t.move, t.horizon_days) for t in week] == [("first_intent", 1), ("first_intent", 1), ("first_order", 1)]
    assert [why.partition(":")[0] for why in left_out] == ["review", "next_order", "lapse"]
    year, left_out = targets_of(365 * DAY_US)
    assert {(t.move, t.horizon_days) for t in year} == {(spec.move, spec.horizons_days[0]) for spec in SPECS}
    assert left_out == []


def test_moments_follow_the_customer_s_first_event_and_visits_a_touch(larger, journey):
    deeds = read_deeds(larger.lines, journey.schema)
    start, end = larger.until - 60 * DAY_US, larger.until - 30 * DAY_US
    for moments in (cut_offs(deeds, start, end, 4, np.random.default_rng(0)), visits(deeds, start, end)):
        assert len(moments.as_of)
        assert (deeds.first_at[moments.customer] < moments.as_of).all()
        assert ((moments.as_of >= start) & (moments.as_of < end)).all()


def test_equal_seeds_learn_equal_moves_whatever_happens_after_the_cut_off(larger, learned, journey, tmp_path):
    past = EventLog(larger.path).lines(ibis.duckdb.connect(), until=larger.until).to_pyarrow()
    EventLog(tmp_path).write(past, "past")
    assert EventLog(tmp_path).n_rows < EventLog(larger.path).n_rows
    alone = learn_moves(Data(tmp_path, larger.until), journey, seed=0)
    assert learned.models
    assert learned.models == alone.models
    assert learned.report == alone.report
    assert learned.arrays.keys() == alone.arrays.keys()
    assert all(np.array_equal(alone.arrays[name], array) for name, array in learned.arrays.items())


def test_labels_say_what_the_log_says(larger, journey):
    deeds = read_deeds(larger.lines, journey.schema)
    start = int(deeds.at.min())
    targets, _ = targets_of(larger.until - start)
    spans = [span_of(target.horizon_days, start, larger.until) for target in targets]
    moments = draw_moments(deeds, spans, journey, np.random.default_rng(0)).take(np.arange(0, 3_000, 7))
    rows = rows_of(larger, deeds, moments, journey, Alive(0.5, 60.0, 0.5, 3.0))
    of_order = np.flatnonzero(deeds.is_a["order"])
    (target,) = [t for t in targets if t.move == "first_order"]
    (lapse,) = [t for t in targets if t.move == "lapse"]
    for i in range(0, len(rows), 11):
        now, horizon = moments.as_of[i], target.horizon_days * DAY_US
        mine = deeds.at[of_order[deeds.customer[of_order] == moments.customer[i]]]
        assert happened(rows, target)[i] == bool(((mine >= now) & (mine < now + horizon)).any())
        touched = deeds.at[(deeds.customer == moments.customer[i]) & deeds.is_a["touch"]]
        gone = not ((touched >= now) & (touched < now + lapse.horizon_days * DAY_US)).any()
        assert happened(rows, lapse)[i] == gone


def test_a_larger_shop_learns_moves_and_none_that_a_simple_rule_beats(learned):
    assert {"next_order", "lapse"} <= {model.move for model in learned.models}
    judged = [row for row in learned.report if row.moments == "all"]
    assert [(row.move, row.stage) for row in judged] == [(model.move, model.stage) for model in learned.models]
    for row in judged:
        assert row.is_better
        assert row.brier_skill > 0
    assert all(model.stage in STAGES for model in learned.models)


@pytest.mark.parametrize("n", [0, 1, 100])
def test_too_little_data_gives_no_moves_and_says_why(n, larger, journey, tmp_path):
    lines = larger.lines.order_by("occurred_at", "event_id").limit(n).to_pyarrow()
    if n:
        EventLog(tmp_path).write(lines, "few")
    (tmp_path / "catalog.parquet").write_bytes((larger.path / "catalog.parquet").read_bytes())
    found = learn_moves(Data(tmp_path), journey)
    assert found.models == found.report == ()
    assert found.arrays == {}
    assert len(found.left_out) >= len(SPECS)


def test_reasons_hold_on_customers_of_the_simulator(larger, learned, journey):
    check_reasons(larger, Moves(learned.arrays), journey, n=300)


@pytest.mark.datasets
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("folder", "kind", "expected"),
    [
        ("retailrocket_8days", "retailrocket", {"first_intent", "first_order"}),
        ("uci_online_retail", "online-retail", {"next_order", "lapse"}),
    ],
)
def test_moves_of_real_shops_beat_every_baseline_and_their_reasons_hold(
    folder, kind, expected, datasets, tmp_path, journey
):
    import_data(kind, datasets / folder, tmp_path / "data")
    data = Data(tmp_path / "data")
    found = learn_moves(data, journey, seed=0)
    judged = [row for row in found.report if row.moments == "all"]
    assert {row.move for row in judged} == expected
    for row in judged:
        assert row.is_better, row
        assert row.brier_skill > 0
        assert row.ece <= 0.02 or row.slope[1] <= 1 <= row.slope[2], row
    check_reasons(data, Moves(found.arrays), journey, n=1_000)


def check_reasons(data: Data, moves: Moves, journey: Journey, n: int) -> None:
    """Weights sum to the logit; without the events behind the top positive reason the chance falls."""
    rng, held, asked = np.random.default_rng(0), 0, 0
    for history in histories_of(data, n, rng):
        past = history[: rng.integers(1, len(history) + 1)]
        now = past[-1].occurred_at + int(rng.choice([1, DAY_US // 24, 5 * DAY_US, 40 * DAY_US]))
        state, standing = standing_of(journey, past, now)
        for move in moves.of(state, standing, now):
            logit = math.log(move.probability / (1 - move.probability))
            assert abs(sum(reason.weight for reason in move.reasons) - logit) < 1e-6
            speaking = [reason for reason in move.reasons if reason.weight > 0 and EVENTS.get(reason.code)]
            if speaking:
                top = max(speaking, key=lambda reason: reason.weight)
                rest = [line for line in past if line.type not in EVENTS[top.code]]
                less = {m.move: m for m in moves.of(standing_of(journey, rest, now)[0], standing, now)}
                asked, held = asked + 1, held + (less[move.move].probability < move.probability)
    assert asked >= n // 5
    assert held >= 0.95 * asked


def standing_of(journey, lines, now):
    state = journey.schema.merge_all(journey.schema.lift(line) for line in lines)
    return state, journey.stage_of(state, now)


def histories_of(data: Data, n: int, rng: np.random.Generator) -> list[list[Line]]:
    """Lines of ``n`` customers, each in order of time."""
    known = data.lines.filter(data.lines.customer_id.notnull())
    lines = known.order_by("customer_id", "occurred_at", "event_id", "line_no").to_pyarrow()
    ids = np.array(pc.unique(lines["customer_id"]).to_pylist(), object)
    chosen = pa.array(rng.choice(ids, min(n, len(ids)), replace=False).tolist())
    kept = lines.filter(pc.is_in(lines["customer_id"], chosen))
    for name in ("occurred_at", "received_at"):
        kept = kept.set_column(kept.column_names.index(name), name, kept[name].cast(pa.int64()))
    found = defaultdict(list)
    for row in kept.select([name for name in Line.__struct_fields__ if name in kept.column_names]).to_pylist():
        found[row["customer_id"]].append(Line(**row))
    return list(found.values())
