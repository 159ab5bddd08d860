"""The parts of the simulated shop, each on its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import check_item
from features.events import DAY_US, EventType
from training.simulator import logging_policy
from training.simulator.customer import joined, make_people, new_state
from training.simulator.journal import Journal
from training.simulator.life import NEED, Agenda, draw
from training.simulator.stocking import make_world, n_products
from training.simulator.titles import Wording, numbered, product
from training.simulator.truth import Truth
from training.simulator.visits import anonymous_ids
from training.simulator.words import LOCALES, words
from training.simulator.world import ACTION, CONTENT, EVERYWHERE, POST, PRODUCT

END = 1_760_000_123_456_789


@pytest.fixture(scope="module")
def world():
    return make_world(n_events=20_000, seed=1, days=60, end=END)


def test_a_product_is_named_in_its_language():
    table = words()
    coffee = table.leaf[0]
    variant = table.variant["consumable"][1]
    titles = [product(table, coffee, table.brand[1], 0, variant, locale).title for locale in LOCALES]
    assert titles == [
        "Lumeo espresso beans, family size",
        "Lumeo espresso çekirdeği, aile boyu",
        "حبوب إسبريسو لوميو، حجم عائلي",
    ]


def test_every_phrase_of_the_shop_is_there_in_every_language():
    table = words()
    for leaf in table.leaf:
        assert {len(leaf.words(locale)) for locale in LOCALES} == {4}
        assert set(leaf.complements) <= {other.path for other in table.leaf} - {leaf.path}
        assert 0 < leaf.price[0] < leaf.price[1]
    assert all(set(forms) == set(LOCALES) for forms in table.content.values())
    assert all(set(variant.pitch) == set(LOCALES) for kind in table.variant.values() for variant in kind)


def test_a_title_that_was_there_before_gets_its_number():
    told = numbered([Wording("A", ""), Wording("B", ""), Wording("A", ""), Wording("A", "")])
    assert [wording.title for wording in told] == ["A", "B", "A (2)", "A (3)"]


def test_the_catalogue_grows_with_the_log_within_bounds():
    assert [n_products(n) for n in (0, 100_000, 1_000_000, 10**9)] == [240, 791, 2_500, 5_000]


def test_every_item_may_enter_the_catalog(world):
    for item in world.items:
        row = {name: getattr(item, name) for name in ("item_id", "kind", "title", "category", "locale", "attributes")}
        assert check_item(row).item_id == item.item_id
    actions = [item for item in world.items if item.kind == "action"]
    assert len(actions) == 18
    assert all('"stages":"' in item.attributes for item in actions)


def test_every_product_stands_on_the_shelf_of_its_category(world):
    for kind, shelf in zip((PRODUCT, CONTENT), world.shelves, strict=True):
        rows = shelf[shelf >= 0]
        assert sorted(rows) == np.flatnonzero(world.kind == kind).tolist()
        assert (world.leaf[shelf[5][shelf[5] >= 0]] == 5).all()


def test_news_is_stale_within_weeks_and_nothing_is_hot_before_it_is_published(world):
    post = np.flatnonzero((world.form == POST) & (world.kind == CONTENT) & (world.published_at > world.start))[0]
    published = world.day_of(int(world.published_at[post]))
    quiet = world.heat(np.ceil(published) + 30)[post] - world.heat(np.ceil(published))[post]
    assert quiet < -2.5
    assert world.heat(np.floor(published) - 0.5)[post] == -np.inf


def test_what_is_retired_during_the_day_is_not_offered_on_it(world):
    item = int(np.flatnonzero(world.retired_at < END)[0])
    day = world.day_of(int(world.retired_at[item]))
    assert np.isfinite(world.heat(day - 2)[item])
    assert world.heat(day - 1)[item] == -np.inf


@given(st.integers(1, 8), st.integers(0, 2**32))
def test_slates_are_distinct_and_their_propensities_are_those_of_the_mixture(n_slots, seed):
    rng = np.random.default_rng(seed)
    renown = np.where(rng.random(12) < 0.2, -np.inf, rng.normal(size=12)).astype(np.float32)
    renown[0] = 0
    slates = logging_policy.choose(renown, 5, n_slots, rng)
    weight = np.exp(renown.astype(np.float64))
    for items, propensity in zip(slates.items, slates.propensity, strict=True):
        assert len(set(items.tolist())) == len(items) == min(n_slots, int(np.isfinite(renown).sum()))
        for slot, item in enumerate(items):
            rest = np.setdiff1d(np.flatnonzero(np.isfinite(renown)), items[:slot])
            even, popular = 1 / len(rest), weight[item] / weight[rest].sum()
            expected = logging_policy.EXPLORED * even + (1 - logging_policy.EXPLORED) * popular
            assert propensity[slot] == pytest.approx(expected)


def test_items_are_drawn_as_often_as_their_propensity_says():
    renown = np.log(np.array([8, 4, 2, 1], np.float32))
    slates = logging_policy.choose(renown, 40_000, 2, np.random.default_rng(0))
    for slot in range(2):
        drawn = np.bincount(slates.items[:, slot], minlength=4)
        # An item is drawn into a slot as often as the chances that it had there say in sum.
        shown = slates.items[:, slot]
        inverse = np.bincount(shown, 1 / slates.propensity[:, slot], 4)
        possible = [(slates.items[:, :slot] != item).all(axis=1).sum() for item in range(4)]
        assert np.allclose(inverse / possible, 1, atol=0.03)
        assert drawn.sum() == 40_000


def test_an_agenda_gives_what_is_due_once():
    agenda = Agenda()
    who = np.array([3, 1, 2], np.int32)
    agenda.plan(NEED, np.array([5.5, 1.2, 5.1]), who, level=0.7)
    twin = agenda.copy()
    assert agenda.due(0).size == 0
    assert agenda.due(4)["who"].tolist() == [1]
    assert agenda.due(5)["who"].tolist() == [2, 3]
    assert agenda.due(9).size == 0
    assert twin.due(9)["who"].tolist() == [1, 2, 3]


@given(st.lists(st.lists(st.floats(0, 9), min_size=4, max_size=4), min_size=1, max_size=20), st.integers(0, 99))
def test_a_weight_of_nothing_is_never_drawn(weights, seed):
    table = np.array(weights) + np.array([1e-3, 0, 0, 0])
    drawn = draw(table, np.random.default_rng(seed))
    assert (table[np.arange(len(table)), drawn] > 0).all()


def test_a_journal_numbers_events_and_keeps_their_texts():
    journal = Journal()
    journal.tell(EventType.SEARCH, 2, who=np.array([4, 5]), at=7)
    journal.tell(EventType.SEARCH, 0)
    journal.tell(EventType.LINK, 2, texts=["a", "b"])
    journal.tell(EventType.CONSENT, 1, texts="c", event=0, line_no=1)
    lines = journal.lines()
    assert lines["event"].tolist() == [0, 1, 2, 3, 0]
    assert [journal.texts[row] for row in lines["properties"]] == ["{}", "{}", "a", "b", "c"]
    assert lines["who"].tolist() == [4, 5, -1, -1, -1]


def test_ids_of_devices_are_unique_and_opaque(world):
    people = make_people(world, np.random.default_rng(0), 100, 500, days=10)
    who = np.arange(500, dtype=np.int32)
    ids = anonymous_ids(people, who, np.zeros(500, np.int8)) + anonymous_ids(people, who, np.full(500, 2, np.int8))
    assert len(set(ids)) == 1_000
    assert all(name.startswith("anon:") and len(name) == 21 for name in ids)


def test_people_can_be_joined_and_taken_apart(world):
    rng = np.random.default_rng(0)
    people = make_people(world, rng, 0, 6, days=10)
    both = joined([people.take(np.arange(2)), people.take(np.arange(2, 6))])
    assert both.number.tolist() == people.number.tolist()
    assert (both.taste == people.taste).all()


def test_actions_make_sense_where_life_says_so(world):
    people = make_people(world, np.random.default_rng(0), 0, 3, days=10)
    truth = Truth(world, people, new_state(world, people, np.random.default_rng(1)))
    who, state = np.arange(3, dtype=np.int32), truth.state
    state.is_in_trouble[:] = [True, False, False]
    state.runs_out[1, 0] = 20.0
    state.delivered_at[2] = 18.0
    fit = truth.action_fit(who, 20.0) > 2
    assert fit[:, [1, 5, 0]].tolist() == [[True, False, False], [False, True, False], [False, False, True]]


def test_what_is_foreign_pleases_less_and_what_is_at_home_too(world):
    people = make_people(world, np.random.default_rng(0), 0, 1, days=10)
    truth = Truth(world, people, new_state(world, people, np.random.default_rng(1)))
    who, heat = np.zeros(1, np.int32), world.heat(30.0)
    row = int(np.flatnonzero((world.kind == PRODUCT) & (world.locale == 1) & (world.cycle == 0) & np.isfinite(heat))[0])
    items = np.array([[row]], np.int32)

    def click() -> float:
        return float(truth.click(who, items, heat, 30.0)[0, 0])

    people.locale[0] = 1
    at_home = click()
    people.locale[0] = 2
    abroad = click()
    people.locale[0] = 1
    truth.state.home[0, world.leaf[row]] = row
    assert abroad < at_home
    assert click() < at_home
    assert truth.stale_share(who, items)[0] == 1


def test_the_action_of_a_locale_is_found(world):
    rows = np.flatnonzero(world.kind == ACTION).reshape(6, 3)
    assert world.items[rows[0, 1]].item_id == "act-review-order-tr"
    assert (world.locale[rows] == [0, 1, 2]).all()
    assert (world.locale == EVERYWHERE).any()
    assert world.end - world.start == 60 * DAY_US
