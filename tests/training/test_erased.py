from __future__ import annotations

import ibis
import pyarrow as pa
import pytest

from features.errors import InvalidData
from features.events import DAY_US
from features.ids import erased_hash
from features.rebuilt import REBUILT
from tests.training.test_log import T0, a_line
from training.check import check
from training.files import write_parquet
from training.load import Data
from training.log import EventLog, table_of

KEY = b"k" * 32


@pytest.fixture
def backend():
    connection = ibis.duckdb.connect()
    yield connection
    connection.disconnect()


def erase(root, name="x", **customers):
    """As the service's drainer writes it: keyed hashes and times."""
    (root / "erased").mkdir(exist_ok=True)
    (root / "erased" / "key").write_bytes(KEY)
    hashes = pa.array([erased_hash(each, KEY) for each in customers], pa.binary(16))
    at = pa.array(list(customers.values()), pa.int64()).cast(pa.timestamp("us", "UTC"))
    write_parquet(
        pa.table({"customer_hash": hashes, "customer_key": hashes, "erased_at": at}),
        root / "erased" / f"{name}.parquet",
    )


def log_of(root):
    lines = [
        a_line(0, T0, customer_id="ann"),
        a_line(1, T0 + DAY_US, customer_id="ann"),
        a_line(2, T0 + 2 * DAY_US, customer_id="ann"),
        a_line(3, T0, customer_id="ben"),
        a_line(4, T0, item_id="i", item_key=1),
    ]
    EventLog(root).write(table_of(lines), "a")
    return EventLog.open(root)


def ids(log, backend, until=None):
    return sorted(log.lines(backend, until=until).to_pyarrow()["event_id"].to_pylist())


def test_lines_up_to_an_erasure_are_left_out_and_later_ones_stay(tmp_path, backend):
    log = log_of(tmp_path)
    erase(tmp_path, ann=T0 + DAY_US)
    assert ids(log, backend) == ["e2", "e3", "e4"]
    assert ids(log, backend, until=T0 + DAY_US) == ["e3", "e4"]


def test_the_last_of_several_erasures_counts_whatever_file_it_is_in(tmp_path, backend):
    log = log_of(tmp_path)
    erase(tmp_path, "b", ann=T0 + 2 * DAY_US)
    erase(tmp_path, "c", ann=T0)
    assert ids(log, backend) == ["e3", "e4"]


def test_training_and_check_see_no_erased_customer(tmp_path):
    log_of(tmp_path)
    erase(tmp_path, ann=T0 + 9 * DAY_US)
    assert check(tmp_path).customers == 1
    data = Data(tmp_path)
    assert set(data.lines.to_pyarrow()["customer_id"].to_pylist()) == {"ben", None}
    assert data.read_at > T0


def test_an_erasure_changes_the_digest_of_the_data(tmp_path):
    log = log_of(tmp_path)
    before = log.digest()
    erase(tmp_path, ann=T0)
    assert log.digest() != before


def test_erasures_without_their_key_are_refused_rather_than_overlooked(tmp_path, backend):
    log = log_of(tmp_path)
    erase(tmp_path, ann=T0)
    (tmp_path / "erased" / "key").unlink()
    with pytest.raises(InvalidData, match="key"):
        log.lines(backend)


def test_late_lines_count_only_when_a_rebuild_came_after_them(tmp_path, backend):
    lines = [a_line(n, T0, received_at=T0 + n * DAY_US, late=n > 1) for n in range(4)]
    EventLog(tmp_path).write(table_of(lines), "a")
    (tmp_path / REBUILT).write_text(f'{{"rebuilt_at": {T0 + 2 * DAY_US}}}')
    found = EventLog.open(tmp_path).lines(backend).order_by("event_id").to_pyarrow()
    assert found["late"].to_pylist() == [False, False, False, True]
