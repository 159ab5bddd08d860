from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import InputError, InvalidData
from features.events import COLUMNS
from features.ids import key64
from features.ingest import lines_of
from features.moments import moment
from training.importers import ImportOptions, import_data
from training.importers.landing import is_cut_off
from training.log import EventLog, items_of, read_catalog

NOW = 1_772_366_400_000_000
NOON = "2026-03-01T11:00:00Z"
HEADER = "user_id,event,product_id,ts,price\n"
GOOD = f"u1,view,p1,{NOON},\n"
AT_NOW = ImportOptions(now=NOW)


def an_import(tmp_path: Path, text: str | bytes, name: str = "events.csv", **options):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return import_data("events", path, tmp_path / "out", **{"options": AT_NOW} | options)


def rejects(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "rejects.ndjson").read_text().splitlines()]


def lines(out: Path) -> list[dict]:
    table = ds.dataset([str(path) for path in EventLog(out).paths()], format="parquet").to_table()
    times = {name: table[name].cast(pa.int64()) for name in ("occurred_at", "received_at")}
    return pa.table({name: times.get(name, table[name]) for name in table.column_names}).to_pylist()


def column(out: Path, name: str) -> list:
    return [line[name] for line in lines(out)]


# ---- every kind of bad row


@pytest.mark.parametrize(
    ("row", "field", "value", "word"),
    [
        (f",view,p1,{NOON},", "customer_id", "", "expected a customer"),
        ("u1,view,p1,yesterday,", "occurred_at", "yesterday", "expected a time"),
        ("u1,view,p1,,", "occurred_at", "", "expected the time"),
        ("u1,view,p1,2124-01-01T00:00:00Z,", "occurred_at", "2124-01-01T00:00:00Z", "future"),
        (f"u1,purchase,p1,{NOON},NaN", "price", "NaN", "NaN"),
        (f"NaN,view,p1,{NOON},", "customer_id", "NaN", "NaN"),
        (f"u1,dance,p1,{NOON},", "type", "dance", "unknown"),
        (f"u1,,p1,{NOON},", "type", "", "expected the name"),
        (f"me@example.com,view,p1,{NOON},", "customer_id", "me@example.com", "e-mail"),
        (f"+49 170 1234567,view,p1,{NOON},", "customer_id", "+49 170 1234567", "phone"),
        (f"u1,view,,{NOON},", "item_id", "", "expected an item"),
        (f"u1,view,{'x' * 129},{NOON},", "item_id", "x" * 79 + "…", "128 bytes"),
        (f"u1,purchase,p1,{NOON},-4", "price", "-4", "at least 0"),
        (f"u1,purchase,p1,{NOON},cheap", "price", "cheap", "decimal number"),
        (f"u1,purchase,p1,{NOON},1e30", "price", "1e30", "at most"),
        ("u1,view,p1", "", "u1,view,p1", "expected 5 columns, got 3"),
        (f"u1,view,p1,{NOON},,,", "", f"u1,view,p1,{NOON},,,", "expected 5 columns, got 7"),
    ],
)
def test_a_bad_row_goes_to_the_rejects_with_its_number_field_value_and_reason(tmp_path, row, field, value, word):
    summary = an_import(tmp_path, f"{HEADER}{GOOD}{row}\n{GOOD}")
    (reject,) = rejects(tmp_path / "out")
    assert (reject["row"], reject["field"], reject["value"], reject["file"]) == (2, field, value, "events.csv")
    assert word in reject["reason"]
    assert (summary.n_rows, summary.n_lines, summary.n_rejected) == (3, 2, 1)
    assert list(summary.rejected.values()) == [1]


def test_a_byte_that_is_no_utf8_costs_its_row_alone(tmp_path):
    an_import(tmp_path, HEADER.encode() + GOOD.encode() + b"u\xff,view,p1," + NOON.encode() + b",\n")
    (reject,) = rejects(tmp_path / "out")
    assert (reject["row"], reject["field"]) == (2, "customer_id")
    assert "UTF-8" in reject["reason"]


def test_a_quote_that_is_never_closed_swallows_no_other_row(tmp_path):
    summary = an_import(tmp_path, f'{HEADER}{GOOD}u1,view,"p1,{NOON},\n{GOOD}"u,2",view,p1,{NOON},\n')
    assert [reject["row"] for reject in rejects(tmp_path / "out")] == [2]
    assert summary.n_lines == 3
    assert "u,2" in column(tmp_path / "out", "customer_id")


def test_strict_makes_a_bad_row_an_error_and_writes_nothing(tmp_path):
    with pytest.raises(InvalidData, match=r"1 row cannot be used.*row 2 of events.csv, type"):
        an_import(tmp_path, f"{HEADER}{GOOD}u1,dance,p1,{NOON},\n", strict=True)
    assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]


def test_a_file_without_a_single_good_row_is_refused(tmp_path):
    with pytest.raises(InvalidData, match=r"got none of 1; row 1 of events.csv, type"):
        an_import(tmp_path, f"{HEADER}u1,dance,p1,{NOON},\n")
    assert not (tmp_path / "out").exists()


# ---- files of another shape


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.csv", b"", "expected rows, got an empty file"),
        ("a.csv", HEADER.encode(), "expected rows, got none"),
        ("a.csv", bytes(range(256)), "expected a CSV file"),
        ("a.csv", b"foo,bar\n1,2\n", "expected a column for customer_id"),
        ("a.csv", b"user,foo\n1,2\n", "expected a column for type"),
        ("a.csv", b"user,event\n1,view\n", "expected a column for occurred_at"),
        ("a.csv", b"user,user\n1,view\n", "'user' twice"),
        ("a.parquet", b"PAR1", "expected a Parquet file"),
        ("a.ndjson", b"{}\n", "expected a column for customer_id"),
        ("a.ndjson", b"\n\n", "expected rows, got none"),
        ("a.xlsx", b"PK", "ends in .csv, .parquet or .ndjson"),
    ],
)
def test_a_file_of_another_shape_is_refused_by_name_and_nothing_is_written(tmp_path, name, content, word):
    with pytest.raises(InvalidData, match=word) as caught:
        an_import(tmp_path, content, name)
    assert name in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", ["retailrocket", "deskdrop", "online-retail", "events"])
def test_a_directory_that_is_no_data_is_refused_by_name(tmp_path, kind):
    (tmp_path / "readme.md").write_text("hello")
    with pytest.raises(InvalidData, match=str(tmp_path)):
        import_data(kind, tmp_path, tmp_path / "out")
    with pytest.raises(InvalidData, match="nowhere: expected a file or a directory"):
        import_data(kind, tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.parametrize("kind", ["retailrocket", "deskdrop", "online-retail"])
def test_a_source_says_which_columns_it_expects(tmp_path, kind):
    (tmp_path / "a.csv").write_text(HEADER + GOOD)
    with pytest.raises(InvalidData, match=r"a.csv: expected the columns .*; it has user_id, event"):
        import_data(kind, tmp_path / "a.csv", tmp_path / "out")


def test_an_unknown_kind_and_a_mapping_that_is_not_for_it_are_refused(tmp_path):
    with pytest.raises(InvalidData, match="expected one of retailrocket"):
        import_data("movielens", tmp_path, tmp_path / "out")
    with pytest.raises(InvalidData, match="expected no mapping"):
        import_data("deskdrop", tmp_path, tmp_path / "out", mapping={"type": "x"})


# ---- reading what is good


def test_columns_are_recognised_by_the_names_that_shops_use(tmp_path):
    text = "Visitor ID,EventName,SKU,created_at,Unit Price,qty,Currency,order_id\nv,buy,007,1772362800,2.50,2,eur,o1\n"
    an_import(tmp_path, text)
    (line,) = lines(tmp_path / "out")
    assert line["customer_id"] == "v"
    assert line["item_id"] == "007"
    assert line["type"] == "purchase"
    assert (line["amount_minor"], line["quantity"], line["currency"]) == (500, 2, "EUR")
    assert line["event_id"] == "events:o1:purchase"


def test_a_mapping_goes_before_recognition_and_gives_constants_and_properties(tmp_path):
    mapping = {
        "customer_id": "b",
        "type": ":rating",
        "occurred_at": "t",
        "item_id": "c",
        "properties.stars": "s",
        "channel": ":app",
    }
    an_import(tmp_path, "user,b,c,t,s\nx,y,i,1772362800,5\n", mapping=mapping)
    (line,) = lines(tmp_path / "out")
    assert (line["customer_id"], line["type"], line["channel"], line["properties"]) == (
        *("y", "rating", "app"),
        '{"stars":"5"}',
    )


def test_event_names_of_a_shop_can_be_mapped(tmp_path):
    an_import(tmp_path, f"{HEADER}u,dance,p,{NOON},\n", mapping={"type:dance": "Product Viewed"})
    assert column(tmp_path / "out", "type") == ["item_view"]


@pytest.mark.parametrize(
    ("mapping", "word"),
    [
        ({"customer_id": "nope"}, "events.csv: expected a column 'nope' for customer_id; it has user_id"),
        ({"colour": "user_id"}, "--map: expected one of"),
        ({"type:dance": "fly"}, "--map type:dance"),
    ],
)
def test_a_mapping_that_leads_nowhere_is_refused(tmp_path, mapping, word):
    with pytest.raises(InvalidData, match=word):
        an_import(tmp_path, HEADER + GOOD, mapping=mapping)


@pytest.mark.parametrize(
    "written",
    [
        *("2026-03-01T11:00:00Z", "2026-03-01 11:00:00", "2026-03-01 11:00:00 UTC", "2026-03-01T12:00:00+01:00"),
        *("1772362800", "1772362800.0", "1772362800000", "1772362800000000", "1772362800000000000"),
    ],
)
def test_a_time_can_be_written_in_many_ways(tmp_path, written):
    summary = an_import(tmp_path, f"{HEADER}u,view,p,{written},\n")
    assert column(tmp_path / "out", "occurred_at") == [1_772_362_800_000_000]
    assert summary.notes == ([f"events.csv: {NO_ZONE}"] if written == "2026-03-01 11:00:00" else [])


NO_ZONE = "times without a zone were taken as UTC."


def test_a_day_is_its_midnight(tmp_path):
    an_import(tmp_path, f"{HEADER}u,view,p,20260301,\nu,view,p,2026-03-01,\n")
    assert column(tmp_path / "out", "occurred_at") == [1_772_323_200_000_000] * 2


@pytest.mark.parametrize(
    ("written", "order", "expected"),
    [
        (("2/3/2026", "2/28/2026"), "month, day, year", ("2026-02-03T00:00:00", "2026-02-28T00:00:00")),
        (("2/1/2026 8:26", "28/2/2026 23:59:59"), "day, month, year", ("2026-01-02T08:26:00", "2026-02-28T23:59:59")),
        (("02.01.2026", "28.02.2026"), "day, month, year", ("2026-01-02T00:00:00", "2026-02-28T00:00:00")),
        (
            ("1/13/2026 12:05 AM", "2/3/2026, 1:05 p.m."),
            "month, day, year",
            ("2026-01-13T00:05:00", "2026-02-03T13:05:00"),
        ),
        (
            ("2/3/2026", "2026-02-28", "1/31/2026"),
            "month, day, year",
            ("2026-02-03T00:00:00", "2026-02-28T00:00:00", "2026-01-31T00:00:00"),
        ),
    ],
)
def test_a_column_of_dates_says_whether_they_begin_with_the_day(tmp_path, written, order, expected):
    rows = "".join(f'u,view,p,"{date}",\n' for date in written)
    summary = an_import(tmp_path, HEADER + rows)
    assert sorted(column(tmp_path / "out", "occurred_at")) == sorted(moment(f"{at}Z") for at in expected)
    assert summary.notes == [f"events.csv: dates such as {written[0]} were read as {order}.", f"events.csv: {NO_ZONE}"]


def test_dates_that_may_be_either_are_refused_as_they_were_written(tmp_path):
    for dates in (("2/3/2026", "4/5/2026"), ("2/28/2026", "28/2/2026")):
        with pytest.raises(InvalidData, match=r"occurred_at: expected a time .* whether they begin with the day"):
            an_import(tmp_path, HEADER + "".join(f"u,view,p,{date},\n" for date in dates))
    an_import(tmp_path, f"{HEADER}u,view,p,1/31/2026,\nu,view,p,2/30/2026,\n")
    assert [reject["value"] for reject in rejects(tmp_path / "out")] == ["2/30/2026"]


def test_parquet_types_are_read_for_what_they_mean(tmp_path):
    at = datetime(2026, 3, 1, 11, tzinfo=UTC)
    table = pa.table(
        {
            "user_id": pa.array([17850.0, None], pa.float64()),
            "event": pa.array(["view", "view"]).dictionary_encode(),
            "product_id": pa.array([7, 8], pa.int32()),
            "time": pa.array([at, at], pa.timestamp("ns", "UTC")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    import_data("events", tmp_path / "a.parquet", tmp_path / "out", options=AT_NOW)
    (line,) = lines(tmp_path / "out")
    assert (line["customer_id"], line["item_id"], line["occurred_at"]) == ("17850", "7", 1_772_362_800_000_000)
    assert [reject["row"] for reject in rejects(tmp_path / "out")] == [2]


def test_a_compressed_file_with_a_byte_order_mark_and_semicolons_is_read(tmp_path):
    text = "\ufeff" + (HEADER + GOOD).replace(",", ";")
    an_import(tmp_path, gzip.compress(text.encode()), "a.csv.gz")
    assert column(tmp_path / "out", "customer_id") == ["u1"]


def test_ids_in_any_script_are_kept_byte_for_byte(tmp_path):
    ids = ["محمد", "🛒", "a\u200fb", "../", "{}", "Ä", "A\u0308", "x" * 128]
    an_import(tmp_path, HEADER + "".join(f"{text},view,{text},{NOON},\n" for text in ids))
    assert column(tmp_path / "out", "customer_id") == ids
    assert column(tmp_path / "out", "item_key") == [key64(text) for text in ids]


def test_rows_of_one_order_are_lines_of_one_event(tmp_path):
    text = "order_id,user,type,item,ts\n" + "".join(
        f"{order},{user},{kind},{item},{NOON}\n"
        for order, user, kind, item in [
            *(("7", "u", "purchase", "a"), ("7", "u", "purchase", "b"), ("8", "u", "purchase", "a")),
            *(("7", "u", "refund", "b"), ("7", "w", "purchase", "c"), ("7", "u", "view", "c")),
        ]
    )
    summary = an_import(tmp_path, text)
    assert [(line["event_id"], line["line_no"]) for line in lines(tmp_path / "out")] == [
        *(("events:7:purchase", 0), ("events:7:purchase", 1), ("events:8:purchase", 0)),
        *(("events:7:refund", 0), ("events:7:purchase:1", 0), ("events:6", 0)),
    ]
    assert (summary.n_lines, summary.n_events) == (6, 5)


def test_json_in_the_shape_of_the_api_is_read_whole(tmp_path):
    event = {
        "event_id": "o1",
        "type": "Order Completed",
        "customer_id": "c",
        "anonymous_id": "v",
        "occurred_at": NOON,
        "currency": "EUR",
        "consent": {"email": True},
        "properties": {"a": {"b": 1}},
        "items": [{"item_id": "a", "quantity": 2, "price": 1.25}, {"item_id": "b", "amount": 3}, "c"],
    }
    an_import(tmp_path, json.dumps(event), "a.ndjson")
    found = [
        (line["line_no"], line["item_id"], line["quantity"], line["amount_minor"]) for line in lines(tmp_path / "out")
    ]
    assert found == [(0, "a", 2, 250), (1, "b", 1, 300), (2, "c", 1, None)]
    assert set(column(tmp_path / "out", "properties")) == {'{"a.b":1,"anonymous_id":"anon:v"}'}
    assert set(column(tmp_path / "out", "consent")) == {5}


def test_an_order_with_one_bad_item_is_rejected_whole(tmp_path):
    event = {"event_id": "1", "type": "purchase", "customer_id": "c", "occurred_at": NOON}
    rows = [event | {"items": ["a", {"quantity": 2}]}, event | {"event_id": "2", "items": ["a"]}]
    summary = an_import(tmp_path, "\n".join(map(json.dumps, rows)), "a.ndjson")
    assert column(tmp_path / "out", "event_id") == ["2"]
    assert (summary.n_rows, summary.n_rejected) == (2, 1)


def test_a_line_that_is_no_json_object_is_rejected_with_its_number(tmp_path):
    good = json.dumps({"event_id": "1", "type": "page", "customer_id": "c", "occurred_at": NOON})
    an_import(tmp_path, f'{good}\n{{broken\n5\n\n"x"\n', "a.jsonl")
    assert [(reject["row"], reject["field"], reject["value"]) for reject in rejects(tmp_path / "out")] == [
        *((2, "", "{broken"), (3, "", "5"), (5, "", '"x"')),
    ]


def test_the_same_event_twice_counts_once_and_another_under_its_id_is_rejected(tmp_path):
    rows = ["1,u,view,a", "1,u,view,a", "1,u,view,b", "2,u,view,a"]
    summary = an_import(tmp_path, "event_id,user,type,item,ts\n" + "".join(f"{row},{NOON}\n" for row in rows))
    assert column(tmp_path / "out", "event_id") == ["1", "2"]
    assert (summary.n_duplicates, summary.n_rejected) == (1, 1)
    assert rejects(tmp_path / "out")[0]["row"] == 3


def test_rows_without_ids_that_are_alike_are_two_events(tmp_path):
    an_import(tmp_path, HEADER + GOOD + GOOD)
    assert column(tmp_path / "out", "event_id") == ["events:1", "events:2"]


def test_nobody_is_allowed_on_social_media_and_where_the_user_says_so(tmp_path):
    text = f"user,type,item,ts,channel\n,share,p1,{NOON},social\n,share,p1,{NOON},web\n"
    assert an_import(tmp_path, text).n_lines == 1
    assert an_import(tmp_path, text, mapping={"customer_id": ":"}).n_without_customer == 2


def test_a_contact_as_id_is_admitted_where_the_shop_allows_it(tmp_path):
    options = ImportOptions(now=NOW, allow_contact_ids=True)
    an_import(tmp_path, f"{HEADER}me@example.com,view,p1,{NOON},\n", options=options)
    assert column(tmp_path / "out", "customer_id") == ["me@example.com"]


POOLS = {
    "type": ["item_view", "Order Completed", "page", "identify", "share", "dance", None],
    "customer_id": ["c1", "anon:v", "me@example.com", "x" * 129],
    "anonymous_id": ["v", "anon:v", None, None],
    "occurred_at": [NOON, NOW, NOW // 1_000_000, NOW + 10**10, -5, "now", None],
    "item_id": ["i1", "i2", None, None, "a\nb"],
    "items": [
        None,
        None,
        None,
        [],
        ["i1"],
        [{"item_id": "i1", "quantity": 2, "price": 1.5}, "i2"],
        [{"quantity": 1}],
        "i1",
    ],
    "quantity": [None, None, 1, 2.0, 0, 1.5, 2**31],
    "price": [None, None, 0.1, "19.99", -1, "cheap"],
    "amount": [None, None, 1.005, 7, 10**20],
    "category": [None, "a/b"],
    "currency": [None, "EUR", "JPY", "E"],
    "channel": [None, "app", "fax"],
    "session_id": [None, "s"],
    "rank": [None, 0, -1],
    "consent": [None, {"email": True}, {"sales": True}],
    "properties": [None, {"locale": "tr", "email": "x"}, {"a": {"b": 1}}, {"a b": 1}],
}
records = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(pool) for name, pool in POOLS.items()}), min_size=1, max_size=8
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(records)
def test_an_import_admits_what_the_api_admits_and_makes_the_same_lines_of_it(tmp_path_factory, drawn):
    tmp_path = tmp_path_factory.mktemp("import")
    drawn = [*drawn, {"type": "page", "customer_id": "c", "occurred_at": NOON}]
    events = [
        {"event_id": str(n)} | {k: v for k, v in record.items() if v is not None} for n, record in enumerate(drawn)
    ]
    expected = []
    for event in events:
        try:
            expected += lines_of(event, received_at=NOW, source="events")
        except InputError:
            continue
    an_import(tmp_path, "\n".join(map(json.dumps, events)), "a.ndjson", mapping={})
    names = [column.name for column in COLUMNS if column.name not in {"received_at", "late", "cat_key"}]
    found = {(line["event_id"], line["line_no"]): [line[name] for name in names] for line in lines(tmp_path / "out")}
    assert found == {(line.event_id, line.line_no): [getattr(line, name) for name in names] for line in expected}


# ---- the catalog


def test_a_catalog_file_is_read_with_what_is_odd_in_it_rejected(tmp_path):
    (tmp_path / "items.csv").write_text(
        "sku,name,description,lang,price,currency,in_stock,kind,brand\n"
        "p1,Cup,A cup,tr_TR,1.50,EUR,yes,product,Acme\n"
        "p2,Guide,How to,,,,no,content,\n"
        "p3,Bad,,,,,,toy,\n"
        ",Nameless,,,,,,,\n"
    )
    (tmp_path / "log.csv").write_text(HEADER + GOOD)
    import_data("events", tmp_path, tmp_path / "out", options=AT_NOW)
    cup, guide = items_of(read_catalog(tmp_path / "out"))
    assert (cup.title, cup.text, cup.locale, cup.price_minor, cup.currency) == ("Cup", "A cup", "tr-TR", 150, "EUR")
    assert (cup.available, cup.attributes) == (True, '{"brand":"Acme"}')
    assert (guide.kind, guide.available) == ("content", False)
    assert [(r["file"], r["row"], r["field"]) for r in rejects(tmp_path / "out")] == [
        *(("items.csv", 3, "kind"), ("items.csv", 4, "item_id")),
    ]


def test_without_a_catalog_file_events_say_what_the_items_are(tmp_path):
    text = "user,type,item,ts,category,title,price\n" + "".join(
        f"u,{kind},{item},{at},{category},{title},{price}\n"
        for kind, item, at, category, title, price in [
            *(("view", "p", "2026-03-01T10:00:00Z", "old", "Cup", "1"), ("buy", "p", NOON, "new", "", "2")),
            *(("read", "a", NOON, "", "Guide", ""), ("like", "a", NOON, "", "", ""), ("view", "b", NOON, "", "", "")),
        ]
    )
    an_import(tmp_path, text)
    guide, other, cup = items_of(read_catalog(tmp_path / "out"))
    assert (guide.kind, other.kind, cup.kind) == ("content", "product", "product")
    assert (cup.title, cup.category, cup.price_minor) == ("Cup", "new", 200)
    assert {line["cat_key"] for line in lines(tmp_path / "out") if line["item_id"] == "p"} == {key64("new")}


# ---- where it is put


def test_an_import_again_gives_the_same_bytes(tmp_path):
    digests = []
    for _ in range(2):
        an_import(tmp_path, HEADER + GOOD + f"u2,buy,p2,{NOON},3\n")
        digests.append(EventLog(tmp_path / "out").digest())
    assert digests[0] == digests[1]


def test_an_import_replaces_its_source_and_keeps_what_else_is_there(tmp_path):
    out = tmp_path / "out"
    an_import(tmp_path, f"{HEADER}{GOOD}u1,view,p1,2026-02-01T00:00:00Z,\n")
    (out / "model.json").write_text("{}")
    an_import(tmp_path, HEADER + GOOD)
    assert [path.parent.name for path in EventLog(out).paths()] == ["2026-03-01"]
    assert sorted(path.name for path in out.iterdir()) == [
        *("catalog.parquet", "events", "import.json", "model.json", "rejects.ndjson")
    ]


def test_another_source_needs_to_be_added_on_purpose(tmp_path):
    an_import(tmp_path, f"user,type,item,ts,name\nu,view,p1,{NOON},Cup\n")
    with pytest.raises(InvalidData, match="got one that holds events"):
        an_import(tmp_path, HEADER + GOOD, options=ImportOptions(name="shop", now=NOW))
    an_import(
        tmp_path, f"{HEADER}u,buy,p1,{NOON},\nu,buy,p2,{NOON},\n", options=ImportOptions("shop", add=True, now=NOW)
    )
    assert EventLog(tmp_path / "out").n_rows == 3
    assert set(json.loads((tmp_path / "out" / "import.json").read_text())) == {"events", "shop"}
    assert [(item.item_id, item.title) for item in items_of(read_catalog(tmp_path / "out"))] == [
        ("p1", "Cup"),
        ("p2", None),
    ]


@pytest.mark.parametrize("name", ["photo.jpg", ".."])
def test_a_directory_or_a_file_that_is_not_ours_is_not_written_to(tmp_path, name):
    out = tmp_path / "out"
    if name == "..":
        out.write_text("a file")
    else:
        out.mkdir()
        (out / name).write_text("mine")
    with pytest.raises(InvalidData, match=str(out)):
        an_import(tmp_path, HEADER + GOOD)
    assert out.read_text() == "a file" if name == ".." else (out / name).read_text() == "mine"


def test_a_place_that_cannot_be_written_to_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "a.csv").write_text(HEADER + GOOD)
    with pytest.raises(InvalidData, match=r"file/out: expected a place that can be written to"):
        import_data("events", tmp_path / "a.csv", tmp_path / "file" / "out", options=AT_NOW)


def test_a_failed_import_leaves_the_directory_as_it_was(tmp_path):
    an_import(tmp_path, HEADER + GOOD)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for text in ("", "a,b\n1,2\n", f"{HEADER}u,dance,p,{NOON},\n"):
        with pytest.raises(InvalidData):
            an_import(tmp_path, text)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_what_a_killed_import_left_is_cleared_by_the_next(tmp_path):
    out = tmp_path / "out"
    an_import(tmp_path, HEADER + GOOD)
    (out / ".importing").mkdir()
    (out / "import.json").rename(out / ".importing" / "import.json")
    assert is_cut_off(out)
    an_import(tmp_path, HEADER + GOOD)
    assert not is_cut_off(out)
    assert not (out / ".importing").exists()


# ---- the sources


def test_the_original_retailrocket_file_is_read(tmp_path):
    (tmp_path / "events.csv").write_text(
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n"
        "1433222276276,599528,transaction,356475,4000\n"
        "1433222276276,599528,transaction,15335,4000\n"
    )
    import_data("retailrocket", tmp_path, tmp_path / "out")
    assert [(line["event_id"], line["line_no"], line["type"]) for line in lines(tmp_path / "out")] == [
        *(("retailrocket:1", 0, "item_view"), ("retailrocket:4000:purchase", 0, "purchase")),
        ("retailrocket:4000:purchase", 1, "purchase"),
    ]
    assert column(tmp_path / "out", "occurred_at")[0] == 1_433_221_332_117_000


def test_the_original_deskdrop_files_are_read_with_their_articles(tmp_path):
    (tmp_path / "users_interactions.csv").write_text(
        "timestamp,eventType,contentId,personId,sessionId,userAgent,userRegion,userCountry\n"
        "1465413032,VIEW,-3499919498720038879,-8845298781299428018,1264196770339959068,,,\n"
        "1465413033,FOLLOW,-3499919498720038879,-8845298781299428018,1264196770339959068,,,\n"
    )
    (tmp_path / "shared_articles.csv").write_text(
        "timestamp,eventType,contentId,title,text,lang\n"
        '1459192779,CONTENT SHARED,-3499919498720038879,Ethereum,"First line\nsecond, line",en\n'
    )
    import_data("deskdrop", tmp_path, tmp_path / "out")
    assert column(tmp_path / "out", "type") == ["content_read", "follow"]
    (article,) = items_of(read_catalog(tmp_path / "out"))
    assert (article.kind, article.title, article.text) == ("content", "Ethereum", "First line\nsecond, line")
    assert (article.locale, article.published_at) == ("en", 1_459_192_779_000_000)


def test_online_retail_decides_what_is_a_sale(tmp_path):
    (tmp_path / "data.csv").write_text(
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,WHITE  HEART,6,12/1/2010 8:26,2.55,17850.0,United Kingdom\n"
        "536365,71053,LANTERN,6,12/1/2010 8:27,3.39,17850.0,United Kingdom\n"
        "536365,POST,POSTAGE,1,12/1/2010 8:26,18.00,17850.0,United Kingdom\n"
        "C536379,85123A,wrong colour,-1,12/1/2010 9:41,2.55,17850.0,United Kingdom\n"
        "536389,22139,,56,12/1/2010 11:52,0,,United Kingdom\n"
        "536390,22139,RETRO TEA SET,1,12/1/2010 11:52,4.25,,United Kingdom\n"
        "536391,85175,damaged,-30,12/1/2010 12:00,0,,United Kingdom\n"
        "A563185,B,Adjust bad debt,1,8/12/2011 14:50,11062.06,,United Kingdom\n"
        "536392,71053,LANTERN,x,12/1/2010 12:00,3.39,17851,United Kingdom\n"
    )
    summary = import_data("online-retail", tmp_path, tmp_path / "out")
    found = [
        (r["event_id"], r["line_no"], r["customer_id"], r["quantity"], r["amount_minor"])
        for r in lines(tmp_path / "out")
    ]
    assert found == [
        ("online-retail:536365:purchase", 0, "17850", 6, 1530),
        ("online-retail:536365:purchase", 1, "17850", 6, 2034),
        ("online-retail:C536379:refund", 0, "17850", 1, 255),
        ("online-retail:536390:purchase", 0, None, 1, 425),
    ]
    assert column(tmp_path / "out", "occurred_at")[:2] == [1_291_191_960_000_000] * 2
    assert list(summary.left_out.values()) == [1, 1, 1, 1]
    assert [(reject["row"], reject["field"]) for reject in rejects(tmp_path / "out")] == [(9, "quantity")]
    titles = {item.item_id: item.title for item in items_of(read_catalog(tmp_path / "out"))}
    assert titles == {"85123A": "WHITE HEART", "71053": "LANTERN", "22139": "RETRO TEA SET"}


@pytest.mark.datasets
@pytest.mark.parametrize(
    ("kind", "folder", "counts"),
    [
        (
            "retailrocket",
            "retailrocket_8days",
            (46_350, 46_350, 13_118, 13_882, {"item_view": 43_203, "cart_add": 2_396}),
        ),
        ("deskdrop", "cit_deskdrop", (72_312, 72_312, 1_895, 2_987, {"content_read": 61_086, "follow": 1_407})),
        (
            "online-retail",
            "uci_online_retail",
            (541_909, 536_526, 4_363, 3_926, {"purchase": 527_822, "refund": 8_704}),
        ),
    ],
)
def test_a_public_dataset_has_the_counts_that_are_published(datasets, tmp_path, kind, folder, counts):
    summary = import_data(kind, datasets / folder, tmp_path / "out", strict=True)
    n_rows, n_lines, n_customers, n_items, by_type = counts
    assert (summary.n_rows, summary.n_lines) == (n_rows, n_lines)
    assert (summary.n_customers, summary.n_items) == (n_customers, n_items)
    assert by_type.items() <= summary.by_type.items()
    assert summary.n_rows == summary.n_lines + sum(summary.left_out.values())
    assert EventLog.open(tmp_path / "out").time_range() == (summary.first, summary.last)
