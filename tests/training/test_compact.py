from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.events import DAY_US
from features.state import Schema
from tests.features.histories import N_DAYS, SCHEMA, START_US
from tests.training.engines import logs
from tests.training.test_erased import erase
from training.base import base_day, drop_before, read_base, start_of, write_base
from training.compact import Keep, compact
from training.load import Data
from training.log import EventLog, day_folder, table_of
from training.rebuild import pasts
from training.split import states_of

END = START_US + (N_DAYS + 1) * DAY_US
FOREVER = 10_000


def known(root):
    return {past.customer_id: past for past in pasts(root, SCHEMA, END)}


def compacted(root, keep_days, now=END):
    return compact(root, SCHEMA, Keep(keep_days, FOREVER), now)


@given(logs, st.lists(st.integers(0, N_DAYS + 1), min_size=1, max_size=3))
@settings(max_examples=8, deadline=None)
def test_base_and_rest_give_what_all_events_give(lines, keeps):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if not lines:
            return
        EventLog(root).write(table_of(lines), "a")
        expected = known(root)
        for keep_days in sorted(keeps, reverse=True):
            compacted(root, keep_days)
            assert known(root) == expected


@given(logs, st.integers(1, N_DAYS))
@settings(max_examples=5, deadline=None)
def test_training_merges_the_base_into_the_states_of_its_cases(lines, keep_days):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ids = sorted({line.customer_id for line in lines if line.customer_id})
        if not ids:
            return
        EventLog(root).write(table_of(lines), "a")
        (root / "catalog.parquet").touch()
        as_of = np.full(len(ids), END, np.int64)
        before = states_of(Data(root, END), ids, as_of, SCHEMA)
        compacted(root, keep_days)
        after = states_of(Data(root, END), ids, as_of, SCHEMA)
        assert [after.state(i) for i in range(len(ids))] == [before.state(i) for i in range(len(ids))]


@pytest.fixture
def shop(tmp_path):
    from tests.training.test_log import a_line

    days = [START_US + n * DAY_US for n in range(4)]
    lines = [a_line(n, at, customer_id="ann" if n % 2 else "ben") for n, at in enumerate(days)]
    EventLog(tmp_path).write(table_of(lines), "a")
    return tmp_path


def test_days_go_only_after_their_base_is_written_and_a_crash_between_doubles_nothing(shop):
    expected = known(shop)
    day = day_folder(START_US // DAY_US + 2)
    write_base(shop, SCHEMA, day, pasts(shop, SCHEMA, END, until=start_of(day)))
    assert len(list((shop / "events").iterdir())) == 4  # died here
    assert known(shop) == expected
    assert drop_before(shop, day) == 2
    assert known(shop) == expected
    assert base_day(shop) == day


def test_the_base_forgets_who_was_erased_and_who_was_not_heard_of_for_too_long(shop):
    done = compact(shop, SCHEMA, Keep(2, 1), START_US + 4 * DAY_US)
    assert (done.identities, done.days) == (2, 2)
    erase(shop, ben=END)
    assert set(known(shop)) == {"ann"}
    shutil.rmtree(shop / "erased")
    compact(shop, SCHEMA, Keep(1, 1), START_US + 40 * DAY_US)
    assert known(shop) == {}


def test_a_base_of_another_schema_is_not_read(shop):
    compacted(shop, 2, START_US + 4 * DAY_US)
    other = Schema(dict.fromkeys(SCHEMA.signals, SCHEMA.signals["touch"]))
    assert read_base(shop, SCHEMA).pasts
    assert not read_base(shop, other).pasts


def test_a_second_compaction_of_the_same_day_changes_nothing(shop):
    compacted(shop, 2, START_US + 4 * DAY_US)
    assert compacted(shop, 2, START_US + 4 * DAY_US).identities == 0


def test_links_and_consent_of_days_that_are_gone_still_hold(tmp_path):
    from tests.training.test_log import a_line

    at = [START_US + n * DAY_US for n in range(4)]
    lines = [
        a_line(0, at[0], customer_id="anon:1", type="item_view", item_id="i", item_key=1),
        a_line(1, at[0] + 1, customer_id="ann", type="link", properties='{"from":"anon:1"}'),
        a_line(2, at[0] + 2, customer_id="ben", type="consent", properties='{"personalisation":false}'),
        a_line(3, at[3], customer_id="ann", type="item_view", item_id="i", item_key=1),
        a_line(4, at[3], customer_id="ben"),
    ]
    EventLog(tmp_path).write(table_of(lines), "a")
    (tmp_path / "catalog.parquet").touch()
    as_of = np.array([END], np.int64)
    before = Data(tmp_path, END)
    expected = states_of(before, ["ann"], as_of, SCHEMA).state(0), before.heads, before.refusing
    assert compacted(tmp_path, 2, START_US + 4 * DAY_US).days == 1
    after = Data(tmp_path, END)
    assert (states_of(after, ["ann"], as_of, SCHEMA).state(0), after.heads, after.refusing) == expected
    assert expected[0].n_view == 2
