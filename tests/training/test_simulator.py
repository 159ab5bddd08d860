"""The simulated log: its size, its form, and what has to hold in a shop."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.errors import InputError, InvalidData
from features.events import DAY_US, Consent, EventType, canonical
from features.ids import key64
from training.log import CATALOG_SCHEMA, SCHEMA, EventLog, read_catalog
from training.simulator import SimulationSummary, simulate
from training.simulator.stocking import make_world

END = 1_760_000_123_456_789
DAYS = 90
EVENTS = 40_000


def rows_of(root: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in EventLog.open(root).paths()])


def of_type(lines: pa.Table, *kinds: str) -> list[dict]:
    return lines.filter(pc.is_in(lines["type"], pa.array(kinds))).to_pylist()


def microseconds(moment) -> int:
    return pa.scalar(moment, pa.timestamp("us", "UTC")).cast(pa.int64()).as_py()


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> tuple[Path, SimulationSummary]:
    out = tmp_path_factory.mktemp("simulated") / "shop"
    return out, simulate(out, events=EVENTS, seed=3, days=DAYS, end=END)


@pytest.fixture(scope="module")
def lines(shop) -> pa.Table:
    return rows_of(shop[0])


@pytest.fixture(scope="module")
def world():
    return make_world(n_events=EVENTS, seed=3, days=DAYS, end=END)


def test_the_log_has_exactly_the_declared_columns(lines):
    assert lines.schema.equals(SCHEMA)
    assert all(lines[field.name].null_count == 0 for field in SCHEMA if not field.nullable)


@pytest.mark.parametrize(("events", "days"), [(0, 30), (1, 30), (10, 30), (100, 1), (1_000, 30), (5_000, 400)])
def test_a_log_has_the_number_of_events_that_was_asked_for(tmp_path, events, days):
    summary = simulate(tmp_path / "shop", events=events, days=days, end=END)
    assert summary.n_events == events == sum(summary.by_type.values())
    if events:
        written = rows_of(tmp_path / "shop")
        assert pc.count_distinct(written["event_id"]).as_py() == events
        assert len(written) == summary.n_lines <= 1.02 * events + 10
    assert len(read_catalog(tmp_path / "shop")) == summary.n_items


def test_equal_arguments_give_equal_files_and_another_seed_another_shop(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        simulate(tmp_path / name, events=2_000, seed=seed, days=20, end=END)
    digests = [EventLog(tmp_path / name).digest() for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_simulating_again_replaces_what_was_there(tmp_path):
    simulate(tmp_path, events=3_000, days=40, end=END)
    simulate(tmp_path, events=1_000, days=10, end=END)
    assert pc.count_distinct(rows_of(tmp_path)["event_id"]).as_py() == 1_000
    assert simulate(tmp_path, events=0, days=10, end=END).n_events == 0
    assert EventLog(tmp_path).is_empty


def test_a_directory_with_something_else_is_refused(tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(InvalidData):
        simulate(tmp_path, events=10, end=END)
    with pytest.raises(InputError):
        simulate(tmp_path / "new", events=-1, end=END)


def test_progress_grows_to_one(tmp_path):
    steps: list[float] = []
    simulate(tmp_path / "shop", events=2_000, days=30, end=END, progress=steps.append)
    assert steps == sorted(steps)
    assert 0.9 < steps[-1] <= 1


def test_nothing_happens_before_the_start_or_after_the_end(lines, shop):
    occurred_at = pc.cast(lines["occurred_at"], pa.int64()).to_numpy()
    received_at = pc.cast(lines["received_at"], pa.int64()).to_numpy()
    assert shop[1].end == END
    assert occurred_at.min() >= END - DAYS * DAY_US
    assert received_at.max() <= END
    assert (occurred_at <= received_at).all()
    assert occurred_at.max() > END - DAY_US, "a demo's customers are current"


def test_every_kind_of_event_that_a_shop_has_is_there(shop):
    rare = {"unlink", "message_bounce", "message_unsubscribe", "follow"}
    assert {str(kind) for kind in EventType} - set(shop[1].by_type) <= rare


def test_keys_are_those_of_the_ids(lines, shop):
    category = dict(zip(*(read_catalog(shop[0])[name].to_pylist() for name in ("item_id", "category")), strict=True))
    seen = lines.select(["item_id", "item_key", "cat_key"]).group_by(["item_id", "item_key", "cat_key"]).aggregate([])
    for row in seen.to_pylist():
        if row["item_id"] is None:
            assert row["item_key"] is row["cat_key"] is None
        else:
            assert (row["item_key"], row["cat_key"]) == (key64(row["item_id"]), key64(category[row["item_id"]]))


def test_properties_are_canonical(lines):
    for text in lines["properties"].unique().to_pylist():
        assert canonical(json.loads(text)) == text


def test_the_catalog_is_offered_in_three_languages(shop):
    catalog = read_catalog(shop[0])
    assert catalog.schema.equals(CATALOG_SCHEMA)
    assert set(catalog["kind"].to_pylist()) == {"product", "content", "action"}
    for kind in ("content", "action", "product"):
        locales = set(catalog.filter(pc.equal(catalog["kind"], kind))["locale"].to_pylist())
        assert {"en", "tr", "ar"} <= locales
    by_locale = {row["locale"]: row["title"] + row["text"] for row in catalog.to_pylist()}
    assert any("؀" <= letter <= "ۿ" for letter in by_locale["ar"])
    assert len(set(catalog["title"].to_pylist())) == len(catalog)


def test_customers_declare_three_languages(lines):
    told = Counter(json.loads(row["properties"])["locale"] for row in of_type(lines, "identify"))
    assert set(told) == {"en", "tr", "ar"}


def test_only_what_is_published_and_not_retired_is_seen_and_sold(lines, world):
    for row in of_type(lines, "item_view", "content_read", "impression", "cart_add", "purchase"):
        item, at = world.row_of[row["item_id"]], microseconds(row["occurred_at"])
        assert world.published_at[item] <= at < world.retired_at[item]


def test_an_item_that_is_not_available_was_retired_within_the_log(world):
    available = np.array([item.available for item in world.items])
    assert (available == (world.retired_at > END)).all()
    assert 0 < (~available).sum() < 0.1 * world.n_items


def test_orders_are_fulfilled_after_they_were_placed(lines):
    placed = {json.loads(row["properties"])["order_id"]: row for row in of_type(lines, "purchase")}
    later = of_type(lines, "fulfilled", "refund")
    assert len(later) > 20
    for row in later:
        order = placed[json.loads(row["properties"])["order_id"]]
        assert row["occurred_at"] > order["occurred_at"]
        assert row["amount_minor"] > 0


def test_the_lines_of_an_order_are_numbered_and_paid_for(lines, world):
    orders: dict[str, list[dict]] = {}
    for row in of_type(lines, "purchase"):
        orders.setdefault(row["event_id"], []).append(row)
    assert max(map(len, orders.values())) > 1
    for rows in orders.values():
        assert sorted(row["line_no"] for row in rows) == list(range(len(rows)))
        for row in rows:
            item = world.items[world.row_of[row["item_id"]]]
            assert (item.kind, row["amount_minor"]) == ("product", item.price_minor * row["quantity"])


def test_most_purchases_were_in_the_cart_before(lines):
    # A cart filled under another id of the same person counts by its session.
    added = {(row["session_id"], row["item_id"]) for row in of_type(lines, "cart_add")}
    online = [row for row in of_type(lines, "purchase") if row["channel"] not in {"store", "phone"}]
    share = np.mean([(row["session_id"], row["item_id"]) in added for row in online])
    assert share > 0.75


def test_a_survey_answer_names_its_question_and_item(lines):
    for row in of_type(lines, "survey_answer"):
        answer = json.loads(row["properties"])
        assert set(answer) == {"question_id", "code", "stage", "item"}
        assert answer["item"] == row["item_id"]


def test_support_requests_are_closed_after_they_were_opened(lines):
    opened = {json.loads(row["properties"])["ticket_id"]: row for row in of_type(lines, "support_open")}
    assert {"ticket_id", "channel", "topic"} == set(json.loads(next(iter(opened.values()))["properties"]))
    for row in of_type(lines, "support_close"):
        assert row["occurred_at"] >= opened[json.loads(row["properties"])["ticket_id"]]["occurred_at"]


def test_links_join_an_anonymous_visitor_with_an_account(lines):
    links = of_type(lines, "link")
    anonymous = set(lines["customer_id"].unique().to_pylist())
    assert len(links) > 20
    for row in links:
        assert row["customer_id"].startswith("cust-")
        assert json.loads(row["properties"])["from"].startswith("anon:")
    assert np.mean([json.loads(row["properties"])["from"] in anonymous for row in links]) > 0.9


def test_what_is_said_on_social_media_has_an_item_and_no_customer(lines):
    said = lines.filter(pc.is_null(lines["customer_id"]))
    assert 0.005 < len(said) / len(lines) < 0.03
    assert set(said["channel"].to_pylist()) == {"social"}
    assert said["item_id"].null_count == 0


def test_nobody_who_refuses_personalisation_is_said_to_agree(lines):
    for row in of_type(lines, "consent"):
        said = json.loads(row["properties"]).get("personalisation")
        if said is not None:
            assert bool(row["consent"] & Consent.PERSONALISATION) == said
            assert row["consent"] & Consent.KNOWN


def test_a_slate_click_is_on_what_was_shown(lines):
    shown = {(row["slate_id"], row["rank"]): row for row in of_type(lines, "impression")}
    clicks = of_type(lines, "slate_click")
    assert len(clicks) > 20
    for row in clicks:
        assert shown[row["slate_id"], row["rank"]]["item_id"] == row["item_id"]


def test_slates_hold_distinct_items_with_a_propensity_each(lines):
    slates: dict[str, list[dict]] = {}
    for row in of_type(lines, "impression"):
        slates.setdefault(row["slate_id"], []).append(row)
    for rows in slates.values():
        assert len({row["item_id"] for row in rows}) == len(rows)
        assert all(0 < json.loads(row["properties"])["propensity"] <= 1 for row in rows)


def test_most_visitors_come_once_and_few_visits_end_in_an_order(lines):
    sessions = lines.filter(pc.is_valid(lines["session_id"])).to_pandas()
    n_orders = sessions[sessions.type == "purchase"].session_id.nunique()
    assert 0.015 < n_orders / sessions.session_id.nunique() < 0.055
    anonymous = sessions[sessions.customer_id.str.startswith("anon:")]
    assert (anonymous.groupby("customer_id").session_id.nunique() == 1).mean() > 0.6


def test_views_are_skewed_to_popular_products(lines, world):
    counts = np.sort(np.bincount([world.row_of[row["item_id"]] for row in of_type(lines, "item_view")]))[::-1]
    assert counts[: len(counts) // 10].sum() > 0.35 * counts.sum()


def test_what_is_used_up_is_bought_again_about_when_it_is(lines, world):
    gaps, last = [], {}
    for row in sorted(of_type(lines, "purchase"), key=lambda row: row["occurred_at"]):
        item, at = world.row_of[row["item_id"]], microseconds(row["occurred_at"])
        before = last.get((row["customer_id"], item))
        if before and world.cycle[item]:
            gaps.append((at - before[0]) / DAY_US / float(world.cycle[item]) / before[1])
        last[row["customer_id"], item] = (at, row["quantity"])
    assert len(gaps) > 20
    assert 0.8 < np.median(gaps) < 1.25


def test_what_goes_together_is_bought_together(lines, world):
    bought: dict[str, list[int]] = {}
    for row in of_type(lines, "purchase"):
        bought.setdefault(row["customer_id"], []).append(int(world.leaf[world.row_of[row["item_id"]]]))
    pairs = [(a, b) for leaves in bought.values() for a in leaves for b in leaves if a != b]
    together = np.mean([world.complement[a, b] > 0 or world.complement[b, a] > 0 for a, b in pairs])
    by_chance = np.mean((world.complement > 0) | (world.complement.T > 0))
    assert together > 4 * by_chance
