from __future__ import annotations

from datetime import timedelta

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Item
from features.errors import InvalidData
from features.events import COLUMNS, DAY_US, Line
from features.moments import EPOCH
from training.files import replace_file
from training.log import (
    CATALOG_SCHEMA,
    SCHEMA,
    EventLog,
    catalog_table,
    day_folder,
    items_of,
    read_catalog,
    table_of,
    write_catalog,
)

T0 = 20_000 * DAY_US


def a_line(n: int, at: int, **changes) -> Line:
    return Line(**{"event_id": f"e{n}", "type": "page_view", "occurred_at": at, "received_at": at} | changes)


def lines_at(*times: int) -> pa.Table:
    return table_of(a_line(n, at) for n, at in enumerate(times))


@pytest.fixture
def backend():
    connection = ibis.duckdb.connect()
    yield connection
    connection.disconnect()


def test_the_schema_is_the_declared_columns_in_their_order():
    assert SCHEMA.names == [column.name for column in COLUMNS]
    assert [field.nullable for field in SCHEMA] == [column.nullable for column in COLUMNS]


def test_a_line_comes_back_as_it_went_in(tmp_path):
    line = a_line(1, T0 + 1, item_id="i", item_key=-5, amount_minor=199, quantity=2, rank=0, late=True)
    (path,) = EventLog(tmp_path).write(table_of([line]), "a")
    (row,) = pq.read_table(path, partitioning=None).to_pylist()
    times = {name: EPOCH + timedelta(microseconds=T0 + 1) for name in ("occurred_at", "received_at")}
    assert row == {column.name: getattr(line, column.name) for column in COLUMNS} | times


def test_lines_lie_in_the_folder_of_their_utc_day(tmp_path):
    written = EventLog(tmp_path).write(lines_at(T0 + DAY_US, T0, T0 + DAY_US - 1), "a")
    assert [(path.parent.name, pq.read_metadata(path).num_rows) for path in written] == [
        (day_folder(20_000), 2),
        (day_folder(20_001), 1),
    ]


def test_writing_a_name_again_replaces_it(tmp_path):
    log = EventLog(tmp_path)
    for _ in range(2):
        log.write(lines_at(T0, T0 + 1), "a")
    log.write(lines_at(T0), "b")
    assert log.n_rows == 3
    assert not list(tmp_path.rglob(".*"))


@given(st.lists(st.integers(T0, T0 + 3 * DAY_US), min_size=1, max_size=12), st.integers(T0 - 1, T0 + 3 * DAY_US + 1))
def test_lines_are_strictly_before_the_cut_off(tmp_path_factory, times, until):
    log = EventLog(tmp_path_factory.mktemp("log"))
    log.write(lines_at(*times), "a")
    connection = ibis.duckdb.connect()
    found = log.lines(connection, until=until).to_pyarrow()
    connection.disconnect()
    assert sorted(found["occurred_at"].cast(pa.int64()).to_pylist()) == sorted(t for t in times if t < until)
    assert log.time_range() == (min(times), max(times))


def test_days_after_the_cut_off_are_not_even_opened(tmp_path, backend):
    log = EventLog(tmp_path)
    log.write(lines_at(T0, T0 + DAY_US, T0 + 2 * DAY_US), "a")
    (tmp_path / "events" / day_folder(20_002) / "a.parquet").write_bytes(b"broken")
    assert len(log.paths(T0 + DAY_US)) == 1
    assert len(log.paths(T0 + DAY_US + 1)) == 2
    assert log.lines(backend, until=T0 + 2 * DAY_US).count().execute() == 2


def test_an_empty_log_has_no_lines_and_no_times(tmp_path, backend):
    log = EventLog(tmp_path / "nowhere")
    assert log.is_empty
    assert log.n_rows == 0
    assert log.time_range() is None
    assert log.lines(backend, until=5).to_pyarrow().schema.names == SCHEMA.names


def test_equal_data_has_an_equal_digest_and_other_data_another(tmp_path):
    one, other = EventLog(tmp_path / "one"), EventLog(tmp_path / "other")
    for log in (one, other):
        log.write(lines_at(T0, T0 + DAY_US), "a")
        write_catalog(log.root, catalog_table([Item(item_id="i")]))
    assert one.digest() == other.digest() != one.digest(T0 + 1)
    assert one.digest(T0 + 1) != one.digest(T0 + 2)
    before = one.digest(T0 + 1)
    one.write(lines_at(T0 + DAY_US + 5), "b")
    assert one.digest() != other.digest()
    assert one.digest(T0 + 1) == before


@pytest.mark.parametrize("made", ["nothing", "file", "empty"])
def test_a_directory_that_is_no_data_is_refused_by_name(tmp_path, made):
    root = tmp_path / "data"
    if made == "file":
        root.write_text("x")
    if made == "empty":
        root.mkdir()
    with pytest.raises(InvalidData, match=f"{root}: expected a data directory"):
        EventLog.open(root)


def test_a_file_of_another_shape_is_refused_by_name(tmp_path):
    EventLog(tmp_path).write(lines_at(T0), "a")
    day = tmp_path / "events" / day_folder(20_000)
    for name, table in {
        "other": pa.table({"x": [1]}),
        "zoneless": lines_at(T0).set_column(7, "occurred_at", pa.array([T0], pa.timestamp("us"))),
    }.items():
        pq.write_table(table, day / f"{name}.parquet")
        with pytest.raises(InvalidData, match=f"{name}.parquet: expected a column"):
            EventLog.open(tmp_path)
        (day / f"{name}.parquet").unlink()
    (day / "b.parquet").write_bytes(b"")
    with pytest.raises(InvalidData, match=r"b.parquet: expected a Parquet file"):
        EventLog.open(tmp_path)


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (lines_at(T0).drop_columns(["type"]), "type"),
        (lines_at(T0).set_column(9, "day", pa.array([1], pa.int32())), "day"),
        (lines_at(T0).set_column(3, "type", pa.nulls(1, pa.string())), "type"),
    ],
)
def test_a_table_that_is_no_log_is_not_written(tmp_path, table, word):
    with pytest.raises(InvalidData, match=word):
        EventLog(tmp_path).write(table, "a")
    assert not list(tmp_path.iterdir())


def test_two_items_with_one_key_are_refused(tmp_path):
    lines = table_of([a_line(1, T0, item_id="a", item_key=7), a_line(2, T0, item_id="b", item_key=7)])
    with pytest.raises(InvalidData, match=r"'a' and 'b'|'b' and 'a'"):
        EventLog(tmp_path).write(lines, "a")


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(TypeError), replace_file(path) as file:
        file.write("no bytes")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_latest_row_of_an_item_stays_in_the_catalog(tmp_path):
    first = [Item(item_id="b", title="old", published_at=T0), Item(item_id="c")]
    write_catalog(tmp_path, catalog_table(first))
    write_catalog(
        tmp_path, catalog_table([Item(item_id="b", title="x"), Item(item_id="a"), Item(item_id="b", title="y")])
    )
    assert items_of(read_catalog(tmp_path)) == [Item(item_id="a"), Item(item_id="b", title="y"), Item(item_id="c")]


def test_a_missing_catalog_has_no_rows_and_a_strange_one_is_refused(tmp_path):
    assert read_catalog(tmp_path).schema == CATALOG_SCHEMA
    pq.write_table(pa.table({"item_id": [1]}), tmp_path / "catalog.parquet")
    with pytest.raises(InvalidData, match=r"catalog.parquet: expected a column item_id of string, got int64"):
        read_catalog(tmp_path)
