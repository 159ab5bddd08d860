"""Histories as a log that an engine reads, and cases to ask it about."""

from __future__ import annotations

from random import Random

import ibis
import pyarrow as pa
from hypothesis import strategies as st

from features.events import COLUMNS, DAY_US, EventType, Line, canonical
from features.ids import key64
from features.state_fields import CHANNELS
from features.state_table import StateTable
from tests.features.histories import N_DAYS, ODD_VALUES, SCHEMA, START_US, further_line, histories, state_of, times

CUSTOMERS = ("anna", "Ömer", "مريم")
ARROW_TYPES = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), "bool": pa.bool_()}

logs = histories(customers=(*CUSTOMERS, None), max_size=40)

anywhere = times | times.map(lambda at: at + 1) | st.integers(START_US, START_US + N_DAYS * DAY_US)
midnights = st.integers(0, N_DAYS).map(lambda day: START_US + day * DAY_US)
somebody = st.sampled_from((*CUSTOMERS, "nobody"))

cases = st.one_of(
    st.lists(st.tuples(somebody, anywhere), max_size=30),
    st.lists(st.tuples(somebody, midnights), max_size=30),
    st.lists(anywhere, max_size=4).map(lambda moments: [(customer, at) for at in moments for customer in CUSTOMERS]),
)
"""A moment of its own a row, cut-offs at midnight, or a few cut-offs at any time for everybody."""


def log_table(lines: list[Line]) -> pa.Table:
    """Lines as the event log's Arrow table."""
    columns = {}
    for name, kind, _ in COLUMNS:
        values = [getattr(line, name) for line in lines]
        is_time = kind not in ARROW_TYPES
        column = pa.array(values, pa.int64() if is_time else ARROW_TYPES[kind])
        columns[name] = column.cast(pa.timestamp("us", "UTC")) if is_time else column
    return pa.table(columns)


def made_up(n: int, random: Random) -> list[Line]:
    """A log of ``n`` lines, as odd as the generated ones, for an engine that is too slow for many examples."""
    found: list[Line] = []
    for number in range(n):
        occurred_at = START_US + random.randrange(N_DAYS) * DAY_US + random.choice([0, 1, DAY_US // 2, DAY_US - 1])
        names = random.sample(["full", "note", "locale", "segment"], random.randrange(4))
        item = random.choice([None, "a", "b", "c"])
        line = Line(
            event_id=f"{random.choice(['e', 'E', 'é', '🙂'])}{number // 2}",
            line_no=number % 2,
            type=random.choice(["identify", "refund", "checkout", *EventType]),
            occurred_at=occurred_at,
            received_at=occurred_at,
            customer_id=random.choice([*CUSTOMERS, None]),
            item_key=None if item is None else key64(item),
            cat_key=random.choice([None, 7]),
            channel=random.choice(CHANNELS),
            amount_minor=random.choice([None, 2**40, 5]),
            quantity=random.choice([None, 3]),
            late=random.random() < 0.1,
            consent=random.choice([0, 0, 0, 1, 3, 7, 13]),
            properties=canonical({name: random.choice(ODD_VALUES) for name in names}),
        )
        if line.line_no:
            line = further_line(line, found[-1])
        found.append(line)
    return found


def case_table(asked: list[tuple[str, int]]) -> ibis.Table:
    columns = {
        "case_idx": pa.array(range(len(asked)), pa.int64()),
        "customer_id": pa.array([customer for customer, _ in asked], pa.string()),
        "as_of": pa.array([at for _, at in asked], pa.int64()).cast(pa.timestamp("us", "UTC")),
    }
    return ibis.memtable(pa.table(columns))


def online(history: list[Line], asked: list[tuple[str, int]], random) -> StateTable:
    """The same states event by event, in an order of arrival of their own."""
    arrived = history.copy()
    random.shuffle(arrived)
    return StateTable.from_states(
        SCHEMA,
        [
            state_of(SCHEMA, [line for line in arrived if line.customer_id == customer and line.occurred_at < at])
            for customer, at in asked
        ],
    )
