"""One definition, two engines: what DuckDB computes from the log is what arrives event by event."""

from __future__ import annotations

from random import Random

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.events import DAY_US, Line
from features.journey import FACTS, Journey
from features.state import Schema
from features.state_fields import Last, Recent, Total
from features.state_table import StateTable
from features.vector import vectors
from tests.features.histories import N_DAYS, SCHEMA, SIGNALS, START_US, state_of
from tests.training.engines import CUSTOMERS, case_table, cases, log_table, logs, made_up, online
from training.relational import all_cases, state_table

# Between libraries: Ibis asks DuckDB by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

END_US = START_US + N_DAYS * DAY_US


@pytest.fixture(scope="module")
def duckdb() -> ibis.BaseBackend:
    return ibis.duckdb.connect()


def states(table: StateTable) -> list[object]:
    return [table.state(i) for i in range(len(table))]


def lines_of(duckdb, history: list[Line]) -> ibis.Table:
    return duckdb.create_table("lines", log_table(history), overwrite=True)


@settings(max_examples=40)
@given(logs, cases, st.randoms(use_true_random=False))
def test_both_engines_give_the_same_states_and_the_same_bytes_of_features(duckdb, history, asked, random):
    offline = state_table(lines_of(duckdb, history), case_table(asked), SCHEMA)
    expected = online(history, asked, random)
    assert states(offline) == states(expected)
    now = np.array([at for _, at in asked], np.int64)
    assert vectors(offline, now).tobytes() == vectors(expected, now).tobytes()


@pytest.mark.parametrize("seed", range(3))
def test_a_dense_history_full_of_ties_is_the_same_from_both_engines(duckdb, seed):
    random = Random(seed)
    history = made_up(600, random)
    moments = [START_US + random.randrange(N_DAYS * DAY_US) for _ in range(3)] + [START_US + 2 * DAY_US, END_US]
    asked = [(customer, at) for at in moments for customer in CUSTOMERS]
    offline = state_table(lines_of(duckdb, history), case_table(asked), SCHEMA)
    assert states(offline) == states(online(history, asked, random))


TINY = Schema(
    SIGNALS,
    (
        Total("n_touch", "touch"),
        Recent("days", ("day",), (("touch", "touch", "event"), ("buys", "buy", "line")), keep=2),
        Recent("seen", ("t", "item", "cat"), (("views", "view", "line"), ("reads", "read", "line")), keep=3),
        Recent("bought", ("day", "item", "cat"), (("n", "touch", "line"),), keep=2),
        Last("locale", "identify"),
    ),
)


@settings(max_examples=20)
@given(logs, cases)
def test_both_engines_keep_the_same_records_when_there_is_no_room(duckdb, history, asked):
    offline = state_table(lines_of(duckdb, history), case_table(asked), TINY)
    for state, (customer, at) in zip(states(offline), asked, strict=True):
        assert state == state_of(TINY, [x for x in history if x.customer_id == customer and x.occurred_at < at])


@pytest.mark.parametrize("step", [DAY_US, DAY_US // 2])
def test_a_record_that_one_slice_keeps_makes_room_for_those_of_the_next(duckdb, step):
    history = [view(f"e{n}", START_US + n * DAY_US // 3) for n in range(3 * N_DAYS)]
    asked = [("anna", at) for at in range(START_US, END_US + 1, step)]
    offline = state_table(lines_of(duckdb, history), case_table(asked), TINY)
    assert states(offline) == [state_of(TINY, [x for x in history if x.occurred_at < at]) for _, at in asked]


@settings(max_examples=20)
@given(logs, st.integers(START_US - 1, END_US + 1))
def test_one_case_a_known_customer_in_order(duckdb, history, as_of):
    found = all_cases(lines_of(duckdb, history), as_of).to_pyarrow()
    known = sorted({x.customer_id for x in history if x.customer_id and x.occurred_at < as_of})
    assert found["customer_id"].to_pylist() == known
    assert found["case_idx"].to_pylist() == list(range(len(known)))
    assert set(found["as_of"].cast(pa.int64()).to_pylist()) <= {as_of}


@settings(max_examples=10)
@given(logs, cases)
def test_stages_are_the_same_from_either_engine(duckdb, history, asked):
    journey = Journey.load()
    offline = state_table(lines_of(duckdb, history), case_table(asked), journey.schema)
    for row, (customer, at) in zip(offline.each(FACTS), asked, strict=True):
        known = [x for x in history if x.customer_id == customer and x.occurred_at < at]
        assert journey.stage_of(row, at) == journey.stage_of(state_of(journey.schema, known), at)


def view(event_id: str, at: int, customer: str = "anna") -> Line:
    return Line(event_id=event_id, type="item_view", occurred_at=at, received_at=at, customer_id=customer, item_key=1)


def test_a_moment_sees_what_happened_strictly_before_it(duckdb):
    lines = lines_of(duckdb, [view("a", START_US), view("b", START_US + 1)])
    asked = [("anna", START_US), ("anna", START_US + 1), ("anna", START_US + 2)]
    assert state_table(lines, case_table(asked), SCHEMA).total("n_view").tolist() == [0, 1, 2]


def test_rows_follow_case_idx_whatever_their_order_and_repetition(duckdb):
    lines = lines_of(duckdb, [view("a", START_US), view("b", START_US, "Ömer"), view("c", START_US, "Ömer")])
    table = case_table([("Ömer", END_US), ("nobody", END_US), ("anna", END_US), ("Ömer", END_US)])
    shuffled = table.order_by(ibis.desc("case_idx"))
    assert state_table(lines, shuffled, SCHEMA).total("n_view").tolist() == [2, 0, 1, 2]


def test_no_cases_and_no_lines(duckdb):
    assert len(state_table(lines_of(duckdb, [view("a", START_US)]), case_table([]), SCHEMA)) == 0
    nothing = state_table(lines_of(duckdb, []), case_table([("anna", END_US)]), SCHEMA)
    assert states(nothing) == [SCHEMA.empty()]


def test_a_mid_day_moment_shares_its_day_with_the_next_one(duckdb):
    noon = START_US + DAY_US // 2
    history = [view("a", START_US), view("b", noon), view("c", noon + 1), view("d", START_US + DAY_US)]
    asked = [("anna", at) for at in (noon, noon + 1, START_US + DAY_US, END_US)]
    table = state_table(lines_of(duckdb, history), case_table(asked), SCHEMA)
    touches = [[record[1] for record in state.days] for state in states(table)]
    assert touches == [[1], [2], [3], [3, 1]]


def test_cut_offs_at_midnight_share_their_records(duckdb):
    history = [view(f"e{n}", START_US + n * DAY_US // 4) for n in range(4 * N_DAYS)]
    asked = [("anna", START_US + day * DAY_US) for day in range(N_DAYS + 1)]
    table = state_table(lines_of(duckdb, history), case_table(asked), SCHEMA)
    assert len(table.recents["seen"].rows) == len(history)
    assert len(table.recents["days"].rows) == N_DAYS


def test_a_log_in_parquet_is_read_as_it_lies(duckdb, tmp_path):
    history = [view(f"e{n}", START_US + n, customer) for n, customer in enumerate(CUSTOMERS * 3)]
    pq.write_table(log_table(history), tmp_path / "part.parquet")
    lines = duckdb.read_parquet(str(tmp_path / "*.parquet"))
    assert state_table(lines, all_cases(lines, END_US), SCHEMA).total("n_view").tolist() == [3, 3, 3]


def test_no_copy_of_the_log_is_left_behind_in_the_engine(duckdb):
    lines = lines_of(duckdb, [view("a", START_US)])
    state_table(lines, all_cases(lines, END_US), SCHEMA)
    assert duckdb.con.sql("SELECT table_name FROM duckdb_tables()").fetchall() == [("lines",)]
