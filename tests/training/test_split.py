from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.events import DAY_US
from features.ids import key64
from features.state import SIGNALS
from recommender.query import SESSION_GAP_US
from training.load import Data
from training.split import MAX_WINDOW_DAYS, PROTOCOLS, cases_of, windows_of


def silent(_name, _share):
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def data(shop):
    return Data(shop)


@pytest.fixture(scope="module")
def cases(data, journey):
    windows = windows_of(data)
    return cases_of(data, windows.test, windows.until, journey.schema, n=120, seed=3)


def events_of(data, customer_id):
    """(occurred_at, item_key) of every touch of a customer, read from the touches' own columns."""
    touches = data.touches
    rows = touches.customer_idx == touches.customer_ids.index(customer_id)
    return touches.at[rows], touches.item_keys[touches.item_idx[rows]]


def test_windows_follow_each_other_without_overlap_and_end_at_the_cut_off(data):
    windows = windows_of(data)
    assert data.start < windows.validation < windows.test < windows.until == data.until
    assert windows.test - windows.validation == windows.until - windows.test


def test_windows_of_a_long_history_are_a_month_at_most(shop):
    data = Data(shop, until=Data(shop).until + 3650 * DAY_US)
    windows = windows_of(data)
    assert windows.until - windows.test == MAX_WINDOW_DAYS * DAY_US


def test_both_protocols_are_drawn_within_the_window(data, cases):
    windows = windows_of(data)
    assert set(cases.protocol.tolist()) == set(range(len(PROTOCOLS)))
    assert (cases.as_of >= windows.test).all()
    assert (cases.as_of < windows.until).all()
    assert (cases.as_of[cases.protocol == 0] == windows.test).all()


def test_every_target_is_touched_at_or_after_the_moment_and_before_the_window_ends(data, cases):
    end = windows_of(data).until
    for i, customer_id in enumerate(cases.customer_ids):
        at, item = events_of(data, customer_id)
        assert len(cases.targets[i]) == len(set(cases.targets[i].tolist())) > 0
        assert np.isin(cases.targets[i], item[(at >= cases.as_of[i]) & (at < end)]).all()


def test_touched_is_what_was_touched_strictly_before_the_moment_and_nothing_else(data, cases):
    for i, customer_id in enumerate(cases.customer_ids):
        at, item = events_of(data, customer_id)
        assert set(cases.touched[i].tolist()) == set(item[at < cases.as_of[i]].tolist())


def test_targets_of_a_session_end_with_it(data, cases):
    for i in np.flatnonzero(cases.protocol == PROTOCOLS.index("session")):
        at, item = events_of(data, cases.customer_ids[i])
        later = np.flatnonzero(at >= cases.as_of[i])
        gaps = np.flatnonzero(np.diff(at[later]) > SESSION_GAP_US)
        session = later if not len(gaps) else later[: gaps[0] + 1]
        assert set(cases.targets[i].tolist()) <= set(item[session].tolist())


def test_states_know_everything_strictly_before_the_moment_and_nothing_later(shop, data, cases):
    lines = pq.read_table(shop / "events")
    # An order of several lines is one event, and what came too late or may not be used is counted by neither engine.
    lines = lines.filter(pc.and_(pc.equal(lines["line_no"], 0), pc.invert(lines["late"])))
    lines = lines.filter(pc.not_equal(pc.bit_wise_and(lines["consent"], 3), 1))
    counted = lines.filter(pc.is_in(lines["type"], pa.array(sorted(SIGNALS["touch"].types))))
    of_row = [data.heads.get(name, name) for name in counted["customer_id"].to_pylist()]
    at = counted["occurred_at"].cast(pa.int64()).to_numpy()
    for i, (customer_id, as_of) in enumerate(zip(cases.customer_ids, cases.as_of.tolist(), strict=True)):
        n_before = sum(1 for row, name in enumerate(of_row) if name == customer_id and at[row] < as_of)
        assert cases.states.total("n_touch")[i] == n_before


def test_equal_seeds_draw_equal_cases_and_others_do_not(data, journey):
    windows = windows_of(data)
    first, again, other = (
        cases_of(data, windows.test, windows.until, journey.schema, n=40, seed=seed) for seed in (1, 1, 2)
    )
    drawn = [list(zip(c.customer_ids, c.as_of.tolist(), strict=True)) for c in (first, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_window_without_events_has_no_cases(data, journey):
    assert len(cases_of(data, data.start - DAY_US, data.start, journey.schema, n=10, seed=0)) == 0


def test_material_of_an_earlier_moment_holds_neither_later_touches_nor_later_items(data):
    middle = (data.start + data.until) // 2
    material = data.material(middle)
    assert 0 < len(material.touches) < len(data.touches)
    assert (material.touches.at < middle).all()
    late = {item_id for item_id, at in data.first_seen.items() if at >= middle}
    published = {item.item_id for item in data.catalog if item.published_at is not None and item.published_at < middle}
    unheard_of = [key64(item_id) for item_id in late - published]
    assert unheard_of
    assert not np.isin(unheard_of, material.vocabulary.item_keys).any()
