"""The environment: what a slate is worth, how people answer it, and that policies are compared fairly."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.errors import InputError
from features.events import DAY_US, Line
from features.journey import Journey
from training.log import EventLog
from training.simulator import Environment, run_oracle, run_policy, simulate
from training.simulator.crowds import crowds
from training.simulator.journal import CODE
from training.simulator.stocking import make_world
from training.simulator.table import Names, to_lines, to_table
from training.simulator.truth import examination, first_click
from training.simulator.value import best_slate, click_value, slate_value
from training.simulator.world import CONTENT, PRODUCT

SHOP = {"seed": 3, "days": 60, "end": 1_760_000_123_456_789}
EVENTS = 20_000


@pytest.fixture(scope="module")
def start() -> Environment:
    return Environment.after(events=EVENTS, **SHOP)


@pytest.fixture
def shop(start) -> Environment:
    return start.fresh()


def random_policy(shop):
    offered = shop.offered()
    return lambda _, now, n: [offered[row] for row in np.random.default_rng(now).choice(len(offered), n, replace=False)]


def regulars(shop, n=40):
    """Ids of active customers."""
    active = np.argsort(-shop.truth.people.activity, kind="stable")[:n]
    return [shop.customer_ids[row] for row in active]


def test_the_people_are_those_of_the_log_that_the_same_arguments_give(shop, tmp_path):
    simulate(tmp_path, events=EVENTS, **SHOP)
    last_day = pq.read_table(EventLog.open(tmp_path).paths()[-1], partitioning=None)
    ids = set(last_day["customer_id"].drop_null().to_pylist())
    assert ids
    for customer_id in ids:
        assert shop.true_value(customer_id, shop.popular(3)) >= 0


def test_a_better_slate_is_worth_more(shop):
    ids = regulars(shop)
    policy = random_policy(shop)
    random = [shop.true_value(who, policy(who, row, 8)) for row, who in enumerate(ids)]
    popular = [shop.true_value(who, shop.popular(8)) for who in ids]
    best = [shop.true_value(who, shop.oracle_slate(who, 8)) for who in ids]
    assert (np.array(best) >= np.array(popular) - 1e-3).all()
    assert (np.array(best) >= np.array(random) - 1e-3).all()
    assert np.mean(best) > 5 * np.mean(popular)


def test_the_true_value_has_no_noise_and_changes_nothing(shop):
    who, slate = regulars(shop)[0], shop.popular(5)
    before = shop.truth.state.trust.copy()
    assert shop.true_value(who, slate) == shop.true_value(who, slate)
    assert (shop.truth.state.trust == before).all()
    assert shop.true_value(who, []) == 0


def test_what_is_needed_is_worth_more_than_what_is_not(shop):
    who = regulars(shop)[0]
    row = shop.customer_ids.index(who)
    state, world = shop.truth.state, shop.world
    slate = shop.oracle_slate(who, 60)
    product = next(item for item in slate if world.kind[world.row_of[item]] == PRODUCT)
    leaf = world.leaf[world.row_of[product]]
    state.need[row, leaf], state.need_at[row, leaf] = 0.0, world.n_days
    without = shop.true_value(who, [product])
    state.need[row, leaf] = 1.5
    assert shop.true_value(who, [product]) > 5 * without


def test_reading_builds_trust_and_knowledge_and_makes_related_products_worth_more(shop):
    people, state, world = shop.truth.people, shop.truth.state, shop.world
    offered = [world.row_of[item] for item in shop.offered()]
    read = next(row for row in offered if world.kind[row] == CONTENT)
    leaf = world.leaf[read]
    goods = [world.items[row].item_id for row in offered if world.kind[row] == PRODUCT and world.leaf[row] == leaf]
    row = int(np.argmax(people.activity * (people.locale == world.locale[read]) * (people.liking[:, leaf] > 0)))
    who = shop.customer_ids[row]
    trust, knowledge, worth = state.trust[row], state.knowledge[row, leaf], [shop.true_value(who, [g]) for g in goods]
    state.has_read[row] = -1
    shop.truth.read(np.array([row], np.int32), np.array([read], np.int32), float(world.n_days))
    assert state.trust[row] > trust
    assert state.knowledge[row, leaf] > knowledge
    assert np.mean([shop.true_value(who, [g]) for g in goods]) > np.mean(worth)


def test_an_answer_is_impressions_and_then_silence_or_one_click_and_what_follows(shop):
    kinds = set()
    for row, who in enumerate(regulars(shop)):
        slate = shop.oracle_slate(who, 6) if row % 2 else shop.popular(6)
        lines = shop.respond(who, slate, shop.world.end + 1 + row)
        shown, rest = lines[:6], lines[6:]
        assert [line.item_id for line in shown] == slate
        assert [line.rank for line in shown] == [1, 2, 3, 4, 5, 6]
        assert {line.type for line in shown} == {"impression"}
        assert sum(line.type == "slate_click" for line in rest) <= 1
        if rest:
            assert (rest[0].type, rest[0].slate_id) == ("slate_click", shown[0].slate_id)
            assert rest[0].item_id == slate[rest[0].rank - 1]
        assert [line.occurred_at for line in lines] == sorted(line.occurred_at for line in lines)
        kinds |= {line.type for line in rest}
    assert {"slate_click", "item_view"} <= kinds


def test_the_clicks_come_as_often_as_the_truth_says(shop):
    who = regulars(shop)[0]
    row = np.array([shop.customer_ids.index(who)], np.int32)
    slate = shop.oracle_slate(who, 4)
    items = np.array([[shop.world.row_of[item] for item in slate]], np.int32)
    heat = shop.world.heat(shop.world.n_days)
    expected = first_click(shop.truth.click(row, items, heat, shop.world.n_days))[0]
    counts = np.zeros(5)
    for n in range(600):
        lines = shop.fresh().respond(who, slate, shop.world.end + n)
        counts[next((line.rank - 1 for line in lines if line.type == "slate_click"), 4)] += 1
    observed = counts[:4] / 600
    assert np.abs(observed - expected).max() < 4 * np.sqrt(0.25 / 600)


def test_first_clicks_by_hand():
    chance = first_click(np.array([[0.5, 0.6]], np.float32))
    assert np.allclose(examination(2), [1, 1 / 1.2])
    assert np.allclose(chance, [[0.5, 0.5 * 0.6 / 1.2]])


def test_a_slate_is_worth_its_clicks(shop):
    who = np.arange(5, dtype=np.int32)
    heat, day = shop.world.heat(shop.world.n_days), float(shop.world.n_days)
    items = np.array([best_slate(shop.truth, row, 5, heat, day) for row in who])
    assert all(len(set(row)) == 5 for row in items.tolist())
    clicked = first_click(shop.truth.click(who, items, heat, day))
    worth = (clicked * click_value(shop.truth, who, items, heat, day)).sum(axis=1)
    lost = worth - slate_value(shop.truth, who, items, heat, day)
    assert ((lost >= 0) & (lost < 0.05 * worth + 5)).all()


def test_what_follows_an_order_comes_days_later(shop):
    lines: list[Line] = []
    for row, who in enumerate(shop.customer_ids[:600]):
        state, world = shop.truth.state, shop.world
        state.need[row], state.need_at[row], state.trust[row] = 2.5, world.n_days, 0.9
        lines += shop.respond(who, shop.oracle_slate(who, 8), world.end + row)
    bought = [line for line in lines if line.type == "purchase"]
    assert len(bought) > 20
    assert not [line for line in lines if line.type == "fulfilled"]
    later = shop.due(shop.world.end + 30 * DAY_US)
    fulfilled = {(line.customer_id, line.item_id) for line in later if line.type == "fulfilled"}
    assert len(fulfilled & {(line.customer_id, line.item_id) for line in bought}) > 0.9 * len(bought)
    assert [line.occurred_at for line in later] == sorted(line.occurred_at for line in later)
    assert shop.due(shop.world.end + 30 * DAY_US) == []


def test_a_purchase_meets_the_need_and_a_good_parcel_builds_trust(shop):
    state, world = shop.truth.state, shop.world
    for row, who in enumerate(shop.customer_ids[:400]):
        state.need[row], state.need_at[row], state.trust[row] = 2.5, world.n_days, 0.6
        lines = shop.respond(who, shop.oracle_slate(who, 8), world.end + row)
        bought = [line for line in lines if line.type == "purchase"]
        if bought:
            break
    leaf = world.leaf[world.row_of[bought[0].item_id]]
    assert state.need[row, leaf] == 0
    assert state.home[row, leaf] == world.row_of[bought[0].item_id]
    trust = state.trust[row]
    shop.advance(world.end + 25 * DAY_US)
    assert state.trust[row] != trust


def test_policies_meet_the_same_visitors_and_leave_the_environment_as_it_was(start):
    before = start.truth.state.trust.copy()
    seen = []
    for _ in range(2):
        visits = []
        run_policy(start, lambda who, now, n, visits=visits: visits.append((who, now)) or start.popular(n), 60)
        seen.append(visits)
    assert seen[0] == seen[1]
    silent = []
    run_policy(start, lambda who, now, n: silent.append(who) or [], 60)
    assert silent == [who for who, _ in seen[0]]
    assert (start.truth.state.trust == before).all()


def test_the_oracle_is_the_ceiling(start):
    popular = run_policy(start, lambda who, now, n: start.popular(n), 250)
    random = run_policy(start, random_policy(start), 250)
    best = run_oracle(start, 250)
    assert best.value > 3 * max(popular.value, random.value) > 0
    assert best.n_clicks > popular.n_clicks
    assert len(best.values) == best.n_visits == 250


def test_an_observer_is_told_everything_in_lines_that_the_state_can_read(start):
    told: list[Line] = []
    run_policy(start, lambda who, now, n: start.popular(n), 80, observe=told.extend)
    schema = Journey.load(None).schema
    ids = [(line.event_id, line.line_no) for line in told]
    assert len(set(ids)) == len(ids)
    assert schema.merge_all(schema.lift(line) for line in told).n_touch > 80


def test_a_stranger_or_an_unknown_item_is_refused(shop):
    with pytest.raises(InputError):
        shop.true_value("cust-nobody", shop.popular(2))
    with pytest.raises(InputError):
        shop.respond(shop.customer_ids[0], ["prod-99999999"], shop.world.end)
    with pytest.raises(InputError):
        Environment.after(events=0, **SHOP)


def test_single_events_and_the_log_are_made_alike():
    world = make_world(n_events=2_000, **SHOP)
    part = next(crowds(world, 2_000))
    records = part.lines[(part.lines["who"] >= 0) & (part.lines["at"] <= world.end)]
    records = records[np.lexsort((records["line_no"], records["event"], records["at"]))]
    names = Names(world, part.people, "x")
    table = to_table(records, part.texts, names, np.random.default_rng(0)).drop_columns(["occurred_at", "received_at"])
    rows = table.drop_columns(["late", "day"]).to_pylist()
    lines = to_lines(records, part.texts, names)
    assert len(rows) == len(lines) > 1_000
    assert CODE["purchase"] in records["type"]
    for row, line in zip(rows, lines, strict=True):
        assert {name: getattr(line, name) for name in row} == row
