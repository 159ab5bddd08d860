from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.events import DAY_US, Line
from features.ids import key64
from features.journey import Journey
from training.load import Data
from training.log import SCHEMA, EventLog, catalog_table, table_of, write_catalog
from training.split import states_of
from training.timeless import SPREAD_DAYS, by_rank, is_made_up
from training.touches import Touches

UNTIL = 1_000 * DAY_US
N = 200


def touches_at(at_of_customer):
    customer = np.repeat(np.arange(len(at_of_customer)), [len(at) for at in at_of_customer]).astype(np.int32)
    at = np.concatenate(at_of_customer).astype(np.int64)
    ids = tuple(f"c{i:03}" for i in range(len(at_of_customer)))
    zero = np.zeros(len(at), np.int32)
    return Touches(UNTIL, ids, (None,) * len(ids), np.zeros(1, np.int64), customer, zero, at, zero.astype(np.uint8))


def positions(rng, n=N):
    return [np.arange(rng.integers(3, 9) + (40 if i < 4 else 0)) * DAY_US for i in range(n)]


def test_positions_written_as_days_are_no_clock():
    assert is_made_up(touches_at(positions(np.random.default_rng(0))))


def test_positions_counted_back_from_one_end_are_no_clock():
    rng = np.random.default_rng(0)
    assert is_made_up(touches_at([np.sort(UNTIL - at) for at in positions(rng)]))


def test_one_moment_for_all_is_no_clock():
    assert is_made_up(touches_at([np.full(4, DAY_US)] * N))


@pytest.mark.parametrize("n_days", [8, 400])
def test_customers_who_come_and_go_have_a_clock(n_days):
    rng = np.random.default_rng(1)
    starts = rng.integers(0, n_days * DAY_US, N)
    assert not is_made_up(touches_at([start + np.sort(rng.integers(0, 2 * DAY_US, 4)) for start in starts]))


def test_customers_who_are_there_throughout_have_a_clock():
    rng = np.random.default_rng(2)
    assert not is_made_up(touches_at([np.sort(rng.integers(0, 300 * DAY_US, 60)) for _ in range(N)]))


def test_few_customers_are_taken_at_their_word():
    assert not is_made_up(touches_at([np.full(4, DAY_US)] * 5))


def lines_of(rows):
    """Rows of (customer, day of the event)."""
    n = len(rows)
    columns = {
        "event_id": [f"e{i}" for i in range(n)],
        "line_no": [0] * n,
        "customer_id": [customer for customer, _ in rows],
        "occurred_at": pa.array([day * DAY_US for _, day in rows]).cast(pa.timestamp("us", "UTC")),
        "received_at": pa.array([day * DAY_US for _, day in rows]).cast(pa.timestamp("us", "UTC")),
        "day": [day for _, day in rows],
    }
    empty = table_of([])
    return pa.table(
        {
            name: pa.array(columns[name], SCHEMA.field(name).type)
            if name in columns and not isinstance(columns[name], pa.Array | pa.ChunkedArray)
            else columns.get(name, pa.nulls(n, SCHEMA.field(name).type))
            for name in empty.column_names
        }
    )


def days_before(lines):
    at = by_rank(lines, UNTIL)["occurred_at"].cast(pa.int64()).to_numpy()
    return ((UNTIL - 1 - at) // DAY_US).tolist()


def test_the_last_step_of_every_customer_falls_on_the_last_day():
    lines = lines_of([("a", 1), ("a", 5), ("a", 9), ("b", 2), ("b", 3)])
    assert days_before(lines) == [2, 1, 0, 1, 0]


def test_what_happened_at_one_moment_is_one_step():
    lines = lines_of([("a", 1), ("a", 1), ("a", 4)])
    assert days_before(lines) == [1, 1, 0]


def test_a_customer_whose_times_are_all_one_takes_a_step_a_line():
    lines = lines_of([("a", 7), ("a", 7), ("a", 7), ("b", 7), ("b", 8)])
    assert sorted(days_before(lines)[:3]) == [0, 1, 2]
    assert days_before(lines)[3:] == [1, 0]


def test_where_nobody_has_an_order_everybody_s_items_are_spread_over_the_same_days():
    lines = lines_of([(f"c{n}", 7) for n in range(40) for _ in range(n % 5 + 1)] + [("many", 7)] * 300)
    days = np.array(days_before(lines))
    assert days.min() == 0
    assert days.max() == SPREAD_DAYS - 1
    assert np.bincount(days[-300:]).tolist() == pytest.approx([10] * SPREAD_DAYS, abs=1)
    third = np.sort(days[10:15] // 6)  # five items: one in each fifth
    assert third.tolist() == [0, 1, 2, 3, 4]


def test_the_day_follows_the_moment():
    moved = by_rank(lines_of([("a", 1), ("a", 5)]), UNTIL)
    at = moved["occurred_at"].cast(pa.int64()).to_numpy()
    assert moved["day"].to_numpy().tolist() == (at // DAY_US).tolist() == [998, 999]


@pytest.fixture(scope="module")
def without_a_clock(tmp_path_factory):
    """Thirty customers who each bought four items, all at one moment."""
    root = tmp_path_factory.mktemp("timeless")
    bought = [(f"c{n:02}", f"i{n % 7 + k}") for n in range(30) for k in range(4)]
    lines = [
        Line(
            event_id=f"{customer}-{item}",
            type="purchase",
            customer_id=customer,
            item_id=item,
            item_key=key64(item),
            occurred_at=900 * DAY_US,
            received_at=900 * DAY_US,
        )
        for customer, item in bought
    ]
    EventLog(root).write(table_of(lines), "a")
    write_catalog(root, catalog_table([]))
    return root


def days_of(data, as_of):
    """Days between a moment and each purchase of one customer, latest first."""
    schema = Journey.load(None).schema
    state = states_of(data, ["c03"], np.array([as_of]), schema).state(0)
    return sorted((as_of - 1) // DAY_US - record[0] for record in state.bought)


def test_customers_look_as_they_did_in_training_where_the_clock_means_nothing(without_a_clock):
    data, as_of = Data(without_a_clock, UNTIL).as_learned_from(np.array([950 * DAY_US, UNTIL]))
    assert data.is_by_rank
    assert as_of.tolist() == [UNTIL, UNTIL]
    quarter = SPREAD_DAYS / 4
    assert all(n * quarter - 1 < day < (n + 1) * quarter for n, day in enumerate(days_of(data, UNTIL)))


def test_a_moment_before_the_last_event_is_taken_at_its_word(without_a_clock):
    moments = np.array([900 * DAY_US, UNTIL])
    data, as_of = Data(without_a_clock, UNTIL).as_learned_from(moments)
    assert not data.is_by_rank
    assert as_of is moments


def test_nobody_is_asked_about_as_of_no_moment(without_a_clock):
    _, as_of = Data(without_a_clock, UNTIL).as_learned_from(np.empty(0, np.int64))
    assert not len(as_of)
