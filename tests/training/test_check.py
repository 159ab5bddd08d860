from __future__ import annotations

import pytest

from features.catalog import Item
from features.errors import InvalidData
from features.events import DAY_US, Line
from features.ids import key64
from training.check import Report, check
from training.importers import ImportOptions, import_data
from training.log import EventLog, catalog_table, table_of, write_catalog

T0 = 20_000 * DAY_US + 3_600_000_001
NOW = T0 + 400 * DAY_US


def a_line(n: int, at: int = T0, **changes) -> Line:
    line = {"event_id": f"e{n}", "type": "item_view", "occurred_at": at, "received_at": at, "customer_id": f"c{n % 7}"}
    item_id = changes.pop("item_id", f"i{n % 5}")
    about = {} if item_id is None else {"item_id": item_id, "item_key": key64(item_id)}
    return Line(**line | about | changes)


def report_of(tmp_path, lines: list[Line], items: list[Item] | None = None) -> Report:
    EventLog(tmp_path).write(table_of(lines), "a")
    known = {line.item_id for line in lines if line.item_id}
    write_catalog(tmp_path, catalog_table([Item(item_id=name) for name in sorted(known)] if items is None else items))
    return check(tmp_path, now=NOW)


def sentences(report: Report, severity: str) -> str:
    return "\n".join(finding.sentence for finding in report.findings if finding.severity == severity)


def days(n_days: int, each: int = 60, **changes) -> list[Line]:
    return [a_line(d * each + n, T0 + d * DAY_US + n * 10**7, **changes) for d in range(n_days) for n in range(each)]


def test_ordinary_data_is_counted_and_nothing_is_odd(tmp_path):
    report = report_of(tmp_path, days(10))
    assert (report.lines, report.events, report.customers, report.items) == (600, 600, 7, 5)
    assert [(count.type, count.lines, count.customers) for count in report.types] == [("item_view", 600, 7)]
    assert report.findings == ()
    assert "2024-10-04 to 2024-10-13 (10 days)" in str(report)


@pytest.mark.parametrize(
    ("lines", "severity", "sentence"),
    [
        (
            [a_line(1), a_line(2, T0 + 9 * DAY_US)],
            "odd",
            "8 days without any event, the longest from 2024-10-05 to 2024-10-12.",
        ),
        ([a_line(1), a_line(2, customer_id=None)], "note", "1 line (50.0%) without a customer"),
        ([a_line(1), a_line(1)], "wrong", "1 line with an event_id and line number that is there already"),
        ([a_line(1), a_line(1, event_id="other")], "odd", "1 line (50.0%) with customer, type, item and moment"),
        (
            [a_line(n, T0 + n, customer_id="robot") for n in range(501)],
            "odd",
            "1 customer with more than 500 events on one day (up to 501), 100.0% of all",
        ),
        ([a_line(1, type="page_view", item_id=None)], "note", "Events of page_view carry no item."),
        (
            [a_line(1, type="purchase", amount_minor=0, currency="EUR")],
            "note",
            "1 of 1 line of purchases with an amount of 0.",
        ),
        ([a_line(1, type="purchase")], "note", "1 of 1 line of purchases without an amount"),
        (
            [a_line(1, amount_minor=5, currency="EUR"), a_line(2, amount_minor=5, currency="TRY")],
            "odd",
            "Amounts are in several currencies (EUR 1, TRY 1)",
        ),
        ([a_line(1, amount_minor=5)], "note", "Amounts name no currency."),
        ([a_line(1, 20_000 * DAY_US)], "odd", "Every event is at midnight"),
        ([a_line(n, 20_000 * DAY_US + n % 2) for n in range(4)], "odd", "2 lines (50.0%) at midnight"),
        ([a_line(1, 20_000 * DAY_US + 3_600_000_000)], "odd", "Every event is on the hour"),
        ([a_line(1, 5)], "wrong", "1 line from before 1990"),
        ([a_line(1, NOW + DAY_US)], "wrong", "1 line in the future"),
        ([a_line(1, late=True), a_line(2)], "odd", "1 line (50.0%) more than 24 hours late"),
    ],
)
def test_what_is_odd_is_said_with_its_number(tmp_path, lines, severity, sentence):
    assert sentence in sentences(report_of(tmp_path, lines), severity)


def test_a_sudden_drop_is_dated(tmp_path):
    lines = [line for line in days(12, each=100) if line.day < 20_006 or int(line.event_id[1:]) % 100 < 40]
    assert "From 2024-10-10 there are 60% fewer events than in the 2 days before" in sentences(
        report_of(tmp_path, lines), "odd"
    )


def test_a_day_of_the_week_without_events_is_a_habit_and_no_gap(tmp_path):
    report = report_of(tmp_path, [line for line in days(70, each=2) if (line.day + 3) % 7 != 5])
    assert "There is never an event on Saturdays." in sentences(report, "note")
    assert not sentences(report, "odd")


def test_items_are_held_against_the_catalog(tmp_path):
    items = [Item(item_id="i1", price_minor=0), Item(item_id="i9"), Item(item_id="i8", available=False)]
    report = report_of(tmp_path, [a_line(1), a_line(2)], items)
    assert "1 item of the events not in the catalog" in sentences(report, "odd")
    assert "1 item in the catalog with a price of 0." in sentences(report, "odd")
    assert "2 of 3 items in the catalog never touched." in sentences(report, "note")
    assert "1 of 3 items in the catalog not available." in sentences(report, "note")


def test_two_items_with_one_key_are_found_across_files(tmp_path):
    EventLog(tmp_path).write(table_of([a_line(1)]), "a")
    EventLog(tmp_path).write(table_of([a_line(2, item_id="other", item_key=key64("i1"))]), "b")
    assert "1 item key for more than one item" in sentences(check(tmp_path, now=NOW), "wrong")


def test_rejects_and_decisions_of_an_import_are_told(tmp_path):
    (tmp_path / "a.csv").write_text("user,type,item,ts\nu,view,p,2024-01-01T00:00:01Z\n,view,p,2024-01-01T00:00:01Z\n")
    import_data("events", tmp_path / "a.csv", tmp_path / "out", options=ImportOptions(now=NOW))
    assert "1 row rejected for customer_id: expected a customer" in sentences(check(tmp_path / "out", now=NOW), "odd")
    (tmp_path / "out" / ".importing").mkdir()
    (tmp_path / "out" / "import.json").rename(tmp_path / "out" / ".importing" / "import.json")
    assert "An import was cut off" in sentences(check(tmp_path / "out", now=NOW), "wrong")


@pytest.mark.parametrize(
    ("lines", "promise"),
    [
        ([a_line(1)], "no: only 1 event"),
        (days(20), "yes: popularity and co-visits, from 1,200 events"),
        ([a_line(1)], "no: there are no purchases, so no one reaches the transaction and retention stages"),
        ([a_line(1)], "no: repurchase; there are no purchases"),
        (
            [
                a_line(n, T0 + n // 150 * DAY_US, customer_id=f"c{n % 150}", type="purchase", item_id="i")
                for n in range(300)
            ],
            "yes: repurchase; 150 times a customer bought an item on more than one day",
        ),
        ([a_line(1), a_line(2, T0 + 91 * DAY_US)], "yes: retention and lapse, which need 90 days; there are 91"),
        ([a_line(1)], "no: retention and lapse"),
        ([a_line(1, 20_000 * DAY_US)], "no: sessions; only the days of events are known"),
        ([a_line(1, session_id="s")], "yes: sessions; 100% of the lines name theirs"),
        ([a_line(1, cat_key=3)], "yes: popularity by category"),
        ([a_line(1)], "no: similarity of content; 0% of the items"),
        ([a_line(1, slate_id="s")], "yes: learning from slates; 1 line"),
    ],
)
def test_what_the_data_can_carry_is_said_before_anybody_trains(tmp_path, lines, promise):
    assert promise in "\n".join(report_of(tmp_path, lines).promises)


def test_a_log_of_nobody_is_read_without_a_stumble(tmp_path):
    report = report_of(tmp_path, [a_line(1, customer_id=None)], [])
    assert report.customers == 0
    assert "1 line (100.0%) without a customer" in str(report)


def test_a_directory_that_is_no_data_is_refused_by_name(tmp_path):
    with pytest.raises(InvalidData, match=str(tmp_path)):
        check(tmp_path)


@pytest.mark.datasets
def test_the_halved_days_of_a_public_dataset_are_found(datasets, tmp_path):
    import_data("retailrocket", datasets / "retailrocket_8days", tmp_path / "out")
    assert "From 2015-09-16 there are 49% fewer events" in sentences(check(tmp_path / "out"), "odd")
