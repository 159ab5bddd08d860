from __future__ import annotations

import csv
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.errors import InvalidData, ModelFromTheFuture
from features.ids import key64
from features.moments import to_text
from recommender.engine import Engine
from recommender.slate import SlateRequest
from training.load import Data
from training.picks import Audience, as_moment, check_request, everyone, read_audience, write_picks
from training.pools import MIN_CASES_EACH
from training.spread import spread

COLUMNS = ["customer_id", "rank", "item_id", "kind", "score", "strategy", "reasons"]
BARE = SlateRequest(limit=5, apply_rules=False)


@pytest.fixture(scope="module")
def engine(published):
    return Engine.open(published.bundle)


@pytest.fixture(scope="module")
def data(shop):
    return Data(shop)


@pytest.fixture(scope="module")
def few(data):
    """Five customers, of whom every one has touched something, as of the end."""
    touched = np.unique(data.touches.of_customers().customer_idx)[-5:]
    return audience_of([data.touches.customer_ids[i] for i in touched], data.until)


def audience_of(customer_ids, *moments, case_ids=None):
    at = moments if len(moments) == len(customer_ids) else moments * len(customer_ids)
    return Audience(customer_ids, np.array(at, np.int64), case_ids)


def picks_of(path, engine, data, audience, request=BARE):
    n = write_picks(path, engine, data, audience, request)
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == n
    return rows


def customers_file(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_picks_are_ranked_from_one_with_falling_scores_and_reasons_that_add_up(tmp_path, engine, data, few):
    rows = picks_of(tmp_path / "picks.parquet", engine, data, few)
    for customer_id in few.customer_ids:
        own = [row for row in rows if row["customer_id"] == customer_id]
        assert [row["rank"] for row in own] == [1, 2, 3, 4, 5]
        assert len({row["item_id"] for row in own}) == 5
        assert [row["score"] for row in own] == sorted((row["score"] for row in own), reverse=True)
        for row in own:
            assert sum(reason["weight"] for reason in row["reasons"]) == pytest.approx(row["score"], abs=1e-5)


def test_an_unknown_customer_gets_what_is_popular(tmp_path, engine, data):
    rows = picks_of(tmp_path / "picks.parquet", engine, data, audience_of(["nobody knows me"], data.until))
    assert len(rows) == 5
    assert {row["strategy"] for row in rows} == {"popular"}


def test_unseen_only_leaves_out_everything_touched(tmp_path, engine, data, few):
    touches = data.touches
    rows = picks_of(
        tmp_path / "picks.parquet", engine, data, few, SlateRequest(limit=20, apply_rules=False, unseen_only=True)
    )
    for customer_id in few.customer_ids:
        own = touches.customer_idx == touches.customer_ids.index(customer_id)
        touched = set(touches.item_keys[touches.item_idx[own]].tolist())
        picked = {key64(row["item_id"]) for row in rows if row["customer_id"] == customer_id}
        assert touched
        assert picked
        assert not touched & picked


def test_each_row_sees_what_happened_strictly_before_its_own_moment(tmp_path, published, shop, data):
    """A model is asked about the past only here, by telling it that it was trained before."""
    touches = data.touches
    # Of one identity: what a linked one did first may be told under another name at that moment.
    alone = np.flatnonzero(~np.isin(touches.customer_ids, list(data.heads)))
    customer = int(touches.customer_idx[np.isin(touches.customer_idx, alone)][-1])
    customer_id, first = touches.customer_ids[customer], int(touches.at[touches.customer_idx == customer][0])
    fitted = published.fitted
    earlier = Engine(fitted.arrays, fitted.engine.blend, fitted.engine.journey, replace(fitted.engine.model, until=0))
    audience = audience_of([customer_id] * 2, first, first + 1, case_ids=["at", "after"])
    rows = picks_of(tmp_path / "picks.parquet", earlier, Data(shop, first + 1), audience)
    strategy = {row["case_id"]: row["strategy"] for row in rows}
    assert strategy["at"] == "popular"
    assert strategy["after"] != "popular"


def test_a_model_that_has_seen_later_events_is_refused_and_nothing_is_written(tmp_path, engine, data):
    audience = audience_of(["a", "b"], data.until, data.until - 1)
    with pytest.raises(ModelFromTheFuture, match=to_text(data.until - 1)):
        write_picks(tmp_path / "picks.parquet", engine, data, audience, BARE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case_ids", [None, ["1", "2", ""]])
def test_all_formats_hold_the_same_picks(tmp_path, engine, data, case_ids):
    audience = audience_of(["ö", 'a,"b"', "مريم"], data.until, case_ids=case_ids)
    expected = [*COLUMNS, *(["case_id"] if case_ids else [])]
    table = picks_of(tmp_path / "p.parquet", engine, data, audience)
    for name in ("p.csv", "p.ndjson"):
        assert write_picks(tmp_path / name, engine, data, audience, BARE) == len(table)
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        flat = list(csv.DictReader(file))
    lines = [msgspec.json.decode(line) for line in (tmp_path / "p.ndjson").read_bytes().splitlines()]
    assert list(table[0]) == list(flat[0]) == list(lines[0]) == expected
    assert lines == table
    for row, text in zip(table, flat, strict=True):
        assert msgspec.json.decode(text["reasons"]) == row["reasons"]
        assert (text["customer_id"], int(text["rank"]), text["item_id"]) == (
            row["customer_id"],
            row["rank"],
            row["item_id"],
        )


@pytest.mark.parametrize("ending", ["parquet", "csv", "ndjson"])
def test_nobody_gets_a_file_without_rows(tmp_path, engine, data, ending):
    out = tmp_path / f"none.{ending}"
    assert write_picks(out, engine, data, audience_of([]), BARE) == 0
    assert out.is_file()
    if ending == "parquet":
        assert pq.read_table(out).column_names == COLUMNS


def test_everyone_is_every_customer_with_an_event_that_may_be_used_once_and_sorted(data, shop):
    lines = pq.read_table(shop / "events")
    agreed = lines.filter(pc.not_equal(pc.bit_wise_and(lines["consent"], 3), 1))
    known = set(agreed["customer_id"].to_pylist()) - {None}
    assert list(everyone(data).customer_ids) == sorted({data.heads.get(name, name) for name in known})


@pytest.mark.timeout(120)
def test_many_customers_are_shared_by_processes_that_ask_the_log_nothing(tmp_path, engine, shop):
    data = Data(shop)
    customer_ids = everyone(data).customer_ids
    customer_ids = [customer_ids[i % len(customer_ids)] for i in range(2 * MIN_CASES_EACH)]
    assert write_picks(tmp_path / "picks.parquet", engine, data, audience_of(customer_ids, data.until), BARE)


def test_a_query_in_a_forked_child_is_refused_instead_of_waiting_for_ever(data):
    def work(part):
        data.connection.list_tables()
        return part

    with pytest.raises(RuntimeError, match="before the work is spread"):
        spread(work, 8, least=1)


def test_a_linked_visitor_gets_the_slate_of_the_whole_customer(tmp_path, engine, data):
    visitor, head = next(
        (each, head) for each, head in sorted(data.heads.items()) if each != head and head not in data.refusing
    )
    picks = slates_of(tmp_path, engine, data, [visitor, head])
    assert picks[visitor] == picks[head] != []


def test_who_refuses_personalisation_gets_what_a_stranger_gets(tmp_path, engine, data):
    refusing = min(data.refusing)
    picks = slates_of(tmp_path, engine, data, [refusing, "a stranger"])
    assert picks[refusing] == picks["a stranger"] != []


def slates_of(tmp_path, engine, data, customer_ids):
    out = tmp_path / "picks.parquet"
    write_picks(out, engine, data, Audience(customer_ids, np.full(len(customer_ids), data.until)), BARE)
    found = {customer_id: [] for customer_id in customer_ids}
    for row in pq.read_table(out).to_pylist():
        found[row["customer_id"]].append((row["item_id"], row["score"], row["strategy"]))
    return found


def test_customers_files_of_every_format_read_the_same(tmp_path):
    rows = [("2024-01-01", "1", "2026-03-01T12:00:00Z"), ("007", "2", "2026-03-01 12:00:01"), ("ö", "3", "1772366402")]
    names = ("customer_id", "case_id", "as_of")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    customers_file(tmp_path / "c.parquet", **columns)
    (tmp_path / "c.csv").write_text("\n".join([",".join(names), *(",".join(row) for row in rows)]), encoding="utf-8")
    (tmp_path / "c.ndjson").write_bytes(
        b"\n".join(msgspec.json.encode(dict(zip(names, row, strict=True))) for row in rows)
    )
    for ending in ("parquet", "csv", "ndjson"):
        found = read_audience(tmp_path / f"c.{ending}", None)
        assert list(found.customer_ids) == columns["customer_id"]
        assert list(found.case_ids or []) == ["1", "2", "3"]
        assert (found.as_of - as_moment("2026-03-01T12:00:00Z")).tolist() == [0, 1_000_000, 2_000_000]


def test_moments_finer_than_a_microsecond_are_cut_down_and_missing_ones_take_the_command_s(tmp_path):
    nanoseconds = pa.array([1_772_366_400_000_000_999, None], pa.timestamp("ns"))
    path = customers_file(tmp_path / "c.parquet", customer_id=["a", "b"], as_of=nanoseconds)
    assert read_audience(path, 7).as_of.tolist() == [1_772_366_400_000_000, 7]
    with pytest.raises(InvalidData, match=r"row 2, as_of"):
        read_audience(path, None)


def test_numbers_as_ids_are_taken_as_text(tmp_path):
    (tmp_path / "c.ndjson").write_text('{"customer_id": 12}\n\n{"customer_id": 13, "age": 4}\n')
    found = read_audience(tmp_path / "c.ndjson", 5)
    assert (list(found.customer_ids), found.as_of.tolist(), found.case_ids) == (["12", "13"], [5, 5], None)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("c.csv", "customer_id,as_of\na,2026-03-01\n,2026-03-01\n", "row 2, customer_id"),
        ("c.csv", "customer_id,as_of\na,2026-03-01\nb,soon\n", "row 2, as_of"),
        ("c.csv", "customer_id,as_of\na,²\n", "row 1, as_of"),
        ("c.csv", "customer_id,as_of\na,-5\n", "row 1, as_of"),
        ("c.csv", "customer_id,as_of\na,\n", "row 1, as_of"),
        ("c.csv", "user,as_of\na,2026-03-01\n", "column customer_id"),
        ("c.csv", "customer_id\na\n", "--as-of"),
        ("c.csv", "", "customer_id"),
        ("c.ndjson", "", "customer_id"),
        ("c.ndjson", '{"customer_id": "a", "as_of": 1e9}\n[1]\n', "row 2"),
        ("c.ndjson", '{"customer_id": "a", "as_of": 1e9}\n{"as_of": 1e9}\n', "row 2, customer_id"),
        ("c.parquet", "no parquet", "parquet file"),
        ("c.txt", "customer_id\na\n", "ends in"),
    ],
)
def test_a_bad_customers_file_is_named_with_row_and_column(tmp_path, name, content, says):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InvalidData) as refused:
        read_audience(tmp_path / name, None)
    assert name in str(refused.value)
    assert says in str(refused.value)


def test_a_customers_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidData, match=r"gone\.csv"):
        read_audience(tmp_path / "gone.csv", 1)


def test_a_column_of_another_shape_is_named(tmp_path):
    path = customers_file(tmp_path / "c.parquet", customer_id=[["a"], ["b"]])
    with pytest.raises(InvalidData, match="column customer_id"):
        read_audience(path, 1)


@pytest.mark.parametrize(
    ("rules", "kinds", "out", "says"),
    [
        ("all", "product", "p.csv", "--rules"),
        ("none", "shoe", "p.csv", "--kinds"),
        ("none", "product", "p.xls", "p.xls"),
    ],
)
def test_what_a_caller_gets_wrong_is_named_by_its_option(tmp_path, rules, kinds, out, says):
    with pytest.raises(InvalidData, match=says):
        check_request(rules, kinds, tmp_path / out)
