"""The journey definition: every boundary of the default one by hand, and the law of the clock for any state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidJourney
from features.events import DAY_US, Line
from features.journey import FACTS, STAGES, Journey, Standing
from features.state_table import StateTable
from tests.features.histories import N_DAYS, START_US, histories, state_of

JOURNEY = Journey.load()
FULL = '{"full":true}'
MOMENT = 1 / DAY_US
"""A microsecond in days."""

awareness = ("awareness", None, False)
engagement = ("engagement", None, False)
fulfilment = ("transaction", "fulfilment", False)
delivered = ("transaction", "delivered", False)
retention = ("retention", None, False)
at_risk = ("retention", None, True)


def view(day):
    return "item_view", day


def cart(day):
    return "cart_add", day


def order(day):
    return "purchase", day


def arrival(day):
    return "fulfilled", day


def refund(day, properties=FULL):
    return "refund", day, properties


def history_of(*events) -> list[Line]:
    return [
        Line(
            event_id=f"e{n}", type=name, occurred_at=us(day), received_at=us(day), properties=rest[0] if rest else "{}"
        )
        for n, (name, day, *rest) in enumerate(events)
    ]


def us(day):
    return None if day is None else START_US + round(day * DAY_US)


# what happened, in days; the moment of asking; stage, phase and risk; since when; until when by the clock alone
HISTORIES = {
    "nothing is known": ([], 0, awareness, None, None),
    "only pages": ([("page_view", 0)], 1, awareness, 0, None),
    "only messages, which the customer did not do": (
        [("message_delivered", 0), ("impression", 0)],
        1,
        awareness,
        None,
        None,
    ),
    "one view is not enough": ([view(0)], 1, awareness, 0, None),
    "two views are": ([view(0), view(1)], 2, engagement, 1, 31),
    "two views at one moment are": ([view(0), view(0)], 2, engagement, 0, 30),
    "reading counts as looking": ([("content_read", 0), ("bookmark", 1)], 2, engagement, 1, 31),
    "a search does not": ([("search", 0), ("list_view", 1), view(1)], 2, awareness, 0, None),
    "a cart is enough": ([cart(0)], 0.5, engagement, 0, 30),
    "a checkout is enough": ([("checkout", 0)], 0.5, engagement, 0, 30),
    "the first thing that was enough dates the stage": ([view(0), view(1), cart(2), view(3)], 4, engagement, 1, 33),
    "intent dates it before the second view": ([view(0), cart(1), view(2)], 4, engagement, 1, 32),
    "last moment of a spell": ([view(0), view(1)], 31 - MOMENT, engagement, 1, 31),
    "end of a spell": ([view(0), view(1)], 31, awareness, 31, None),
    "a gap as long as the time to live parts two spells": ([view(0), view(30)], 31, awareness, 0, None),
    "a gap a moment shorter does not": ([view(0), view(30 - MOMENT)], 31, engagement, 30 - MOMENT, 60 - MOMENT),
    "any evidence prolongs a spell": ([cart(0), view(20)], 40, engagement, 0, 50),
    "a spell that is over": ([cart(0)], 30, awareness, 30, None),
    "one view after a spell that is over": ([cart(0), view(40)], 41, awareness, 30, None),
    "a second spell": ([cart(0), view(40), view(41)], 42, engagement, 41, 71),
    "a second spell that is over": ([cart(0), view(40), view(41)], 80, awareness, 71, None),
    "a spell that was never enough, after one that was": ([cart(0), view(40)], 90, awareness, 30, None),
    "an order": ([cart(0), order(1)], 2, fulfilment, 1, 15),
    "an order at the moment of asking": ([order(0)], 0, fulfilment, 0, 14),
    "last moment of an open order": ([order(0)], 14 - MOMENT, fulfilment, 0, 14),
    "end of an open order": ([order(0)], 14, retention, 14, 90),
    "a fulfilled order": ([order(0), arrival(3)], 4, delivered, 0, 10),
    "fulfilled at the moment of asking": ([order(0), arrival(3)], 3, delivered, 0, 10),
    "last moment of a fulfilled order": ([order(0), arrival(3)], 10 - MOMENT, delivered, 0, 10),
    "end of a fulfilled order": ([order(0), arrival(3)], 10, retention, 10, 90),
    "a late fulfilment does not prolong an order": ([order(0), arrival(10)], 11, delivered, 0, 14),
    "a fulfilment after the order ended": ([order(0), arrival(20)], 21, retention, 14, 90),
    "the last of two parcels counts": ([order(0), arrival(1), arrival(4)], 9, delivered, 0, 11),
    "order and fulfilment at one moment": ([order(1), arrival(1)], 2, delivered, 1, 8),
    "a fulfilment before the order is another's": ([arrival(1 - MOMENT), order(1)], 2, fulfilment, 1, 15),
    "a fulfilment without an order": ([arrival(0)], 1, awareness, None, None),
    "a fulfilment without an order, and a cart": ([cart(0), arrival(1)], 2, engagement, 0, 30),
    "a new order while one is open": ([order(0), arrival(1), order(2)], 3, fulfilment, 2, 16),
    "a new order between orders": ([order(0), order(20)], 21, fulfilment, 20, 34),
    "a new order of a customer at risk": ([order(0), order(100)], 101, fulfilment, 100, 114),
    "the fulfilment of the second order": ([order(0), arrival(2), order(20), arrival(22)], 23, delivered, 20, 29),
    "looking around between orders": ([order(0), view(20), cart(21)], 22, retention, 14, 111),
    "last moment before risk": ([order(0)], 90 - MOMENT, retention, 14, 90),
    "at risk": ([order(0)], 90, at_risk, 14, None),
    "at risk for long": ([order(0)], 399, at_risk, 14, None),
    "a sign of life puts risk off": ([order(0), view(50)], 90, retention, 14, 140),
    "risk after a sign of life": ([order(0), view(50)], 140, at_risk, 14, None),
    "a sign of life after risk": ([order(0), view(100)], 101, retention, 14, 190),
    "an order that is cancelled": ([order(0), refund(1)], 2, awareness, 1, None),
    "cancelled at the moment of the order": ([order(0), refund(0)], 2, awareness, 0, None),
    "cancelled a moment before the order": ([refund(1 - MOMENT), order(1)], 2, fulfilment, 1, 15),
    "part of an order refunded": ([order(0), refund(1, "{}")], 2, fulfilment, 0, 14),
    "cancelled, with intent still fresh": ([cart(0), order(1), refund(2)], 3, engagement, 2, 30),
    "cancelled, with intent after it": ([order(1), refund(2), cart(3)], 4, engagement, 3, 33),
    "cancelled, with intent long gone": ([cart(0), order(29), refund(40)], 41, awareness, 40, None),
    "cancelled, the first spell over afterwards": ([cart(0), order(1), refund(2)], 30, awareness, 30, None),
    "fulfilled and sent back": ([order(0), arrival(2), refund(5)], 6, awareness, 5, None),
    "the second order is cancelled": ([order(0), order(20), refund(21)], 22, retention, 21, 111),
    "the second order is cancelled after it ended": ([order(0), order(20), refund(40)], 41, retention, 34, 130),
    "both orders are cancelled": ([order(0), order(1), refund(2), refund(3)], 4, awareness, 3, None),
    "cancelled and ordered again": ([order(0), refund(1), order(2)], 3, fulfilment, 2, 16),
    "cancelled and ordered again, over": ([order(0), refund(1), order(2)], 16, retention, 16, 92),
    "a cancellation of an order nobody saw": ([refund(0), cart(1)], 2, engagement, 1, 31),
    "an order after the cancellation of one nobody saw": ([refund(0), order(1)], 15, retention, 15, 91),
    "asked about a time before anything happened": ([cart(5), view(6)], 0, engagement, 5, 36),
    "asked about a time before the order": ([order(5)], 0, fulfilment, 5, 19),
    "asked before everything, all over since": ([order(5), arrival(6), refund(7)], 0, awareness, 7, None),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_gives_the_stage_that_was_worked_out_by_hand(name):
    events, asked, expected, since, changes_at = HISTORIES[name]
    standing = JOURNEY.stage_of(state_of(JOURNEY.schema, history_of(*events)), us(asked))
    assert standing == Standing(*expected, us(since), us(changes_at))


def test_lines_of_one_order_are_cancelled_by_one_refund():
    lines = [Line(event_id="o", line_no=n, type="purchase", occurred_at=us(0), received_at=us(0)) for n in range(3)]
    state = state_of(JOURNEY.schema, [*lines, *history_of(refund(1))])
    assert JOURNEY.stage_of(state, us(2)).stage == "awareness"


def test_a_late_order_does_not_count():
    late = Line(event_id="o", type="purchase", occurred_at=us(0), received_at=us(3), late=True)
    assert JOURNEY.stage_of(state_of(JOURNEY.schema, [late]), us(3)).stage == "awareness"


def test_a_spell_longer_than_the_evidence_that_is_kept_is_still_a_spell():
    state = state_of(JOURNEY.schema, history_of(cart(0), *(view(1 + n / 10) for n in range(100))))
    standing = JOURNEY.stage_of(state, us(11))
    assert (standing.stage, standing.changes_at) == ("engagement", us(10.9 + 30))


# Short thresholds, so that a history of five days crosses all of them.
QUICK = """
version = "quick"
[signals]
order = [{ type = "purchase" }, { type = "checkout", where = { full = true } }]
[engagement]
ttl_days = 1
[transaction]
max_days = 1.5
after_fulfilled_days = 0.5
[retention]
at_risk_after_days = 2
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Journey:
    path = tmp_path_factory.mktemp("journey") / "quick.toml"
    path.write_text(QUICK)
    return Journey.load(path)


moments = st.integers(START_US - DAY_US, START_US + 2 * N_DAYS * DAY_US)


@given(histories(max_size=8), moments, st.data())
def test_nothing_changes_before_changes_at_and_something_does_at_it(quick, history, now, data):
    state = state_of(quick.schema, history)
    standing = quick.stage_of(state, now)
    if standing.changes_at is None:
        assert quick.stage_of(state, data.draw(st.integers(now, now + 500 * DAY_US))) == standing
    else:
        assert standing.changes_at > now
        assert quick.stage_of(state, data.draw(st.integers(now, standing.changes_at - 1))) == standing
        assert quick.stage_of(state, standing.changes_at - 1) == standing
        assert quick.stage_of(state, standing.changes_at)[:3] != standing[:3]


@given(histories(max_size=8), moments)
def test_a_stage_begins_before_it_is_seen(quick, history, now):
    known = [line for line in history if line.occurred_at < now]
    standing = quick.stage_of(state_of(quick.schema, known), now)
    assert standing.since is None or standing.since <= now
    assert standing.stage in STAGES
    assert standing.phase is None or standing.stage == "transaction"
    assert not standing.at_risk or standing.stage == "retention"


@given(st.lists(histories(max_size=6), max_size=4), moments)
def test_rows_of_a_table_stand_where_their_states_stand(quick, several, now):
    states = [state_of(quick.schema, history) for history in several]
    table = StateTable.from_states(quick.schema, states)
    assert [quick.stage_of(row, now) for row in table.each(FACTS)] == [quick.stage_of(state, now) for state in states]


def load(tmp_path, text) -> Journey:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return Journey.load(path)


def test_the_defaults_load_and_name_themselves():
    assert JOURNEY.version
    assert Journey.load().digest == JOURNEY.digest


def test_a_shop_overrides_one_key_and_keeps_the_others(tmp_path):
    own = load(tmp_path, "[engagement]\nttl_days = 7\n")
    state = state_of(own.schema, history_of(cart(0)))
    assert own.stage_of(state, us(8)).stage == "awareness"
    assert own.schema.hash == JOURNEY.schema.hash
    assert own.digest != JOURNEY.digest


def test_a_changed_definition_without_a_version_does_not_pass_for_the_default(tmp_path):
    changed = load(tmp_path, "[engagement]\nttl_days = 7\n").version
    assert changed.startswith(f"{JOURNEY.version}+")
    assert changed != load(tmp_path, "[engagement]\nttl_days = 8\n").version
    assert load(tmp_path, "[engagement]\nttl_days = 30\n").version == JOURNEY.version
    assert load(tmp_path, 'version = "mine"\n').version == "mine"


def test_a_shop_says_what_fulfilment_means(tmp_path):
    set_up = '{ type = "support_close", where = { topic = "set up", done = true } }'
    text = f'[signals]\nfulfilled = [{set_up}, {{ type = ["review", "rating"] }}]'
    own = load(tmp_path, text)
    for event in (("review", 2), ("support_close", 2, '{"done":true,"topic":"set up"}')):
        assert own.stage_of(state_of(own.schema, history_of(order(0), event)), us(3)).phase == "delivered"
    for event in (("fulfilled", 2), ("support_close", 2, '{"done":true,"topic":"set up later"}')):
        assert own.stage_of(state_of(own.schema, history_of(order(0), event)), us(3)).phase == "fulfilment"
    assert own.schema.hash != JOURNEY.schema.hash


def test_a_shop_may_have_no_fulfilment_at_all(tmp_path):
    own = load(tmp_path, "[signals]\nfulfilled = []")
    assert own.stage_of(state_of(own.schema, history_of(order(0), arrival(1))), us(2)).phase == "fulfilment"


def test_a_shop_says_what_a_slate_is_made_of_in_parts(tmp_path):
    own = load(tmp_path, "[mix.retention]\nproduct = 2\ncontent = 0\naction = 6\n")
    assert own.mix["retention"] == (0.25, 0, 0.75)
    assert own.mix["awareness"] == JOURNEY.mix["awareness"]
    assert own.version != JOURNEY.version
    assert own.schema.hash == JOURNEY.schema.hash


def test_a_definition_from_before_the_mix_has_the_first_one():
    document = {key: value for key, value in JOURNEY.to_document().items() if key != "mix"}
    assert Journey.of_document(document).mix["retention"] == pytest.approx((0.6, 0.25, 0.15))
    assert JOURNEY.mix["retention"] != pytest.approx((0.6, 0.25, 0.15))


BAD = {
    "[mix.retention]\naction = -1": ("/mix/retention/action", ">= 0"),
    "[mix.retention]\nactions = 1": ("/mix/retention/actions", "did you mean action?"),
    "[mix.loyalty]\naction = 1": ("/mix/loyalty", "allowed: awareness, engagement, retention, transaction"),
    "[mix.retention]\nproduct = 0\ncontent = 0\naction = 0": ("/mix/retention", "above 0 for product, content or"),
    "[engagement]\nttl_day = 7": ("/engagement/ttl_day", "did you mean ttl_days? allowed: min_interest, ttl_days"),
    "[engagment]\nttl_days = 7": ("/engagment", "did you mean engagement?"),
    "[signals]\norders = []": ("/signals/orders", "did you mean order?"),
    "[signals]\norder = [{ typ = 'purchase' }]": ("/signals/order/0/typ", "did you mean type? allowed: type, where"),
    "[signals]\norder = [{ type = 'purchas' }]": ("/signals/order/0/type", "did you mean purchase?"),
    "[signals]\norder = [{ type = 'Order Completed' }]": ("/signals/order/0/type", "did you mean purchase?"),
    "[signals]\norder = [{ type = 'review' }, { type = ['x'] }]": (
        "/signals/order/1/type",
        "allowed: bookmark, cart_add",
    ),
    "[signals]\norder = [{ type = [] }]": ("/signals/order/0/type", "at least one event type"),
    "[signals]\norder = [{ }]": ("/signals/order/0", "`type`"),
    "[signals]\norder = ['purchase']": ("/signals/order/0", "expected a table, got `str`"),
    "[signals]\norder = 'purchase'": ("/signals/order", "expected a list, got `str`"),
    "[signals]\norder = [{ type = 'refund', where = { a = 1.5 } }]": ("/signals/order/0/where", "got `float`"),
    "[signals]\norder = [{ type = 'refund', where = { a = [1] } }]": ("/signals/order/0/where", "got a list"),
    "[signals]\norder = [{ type = 'refund', where = { 'a b' = 1 } }]": (
        "/signals/order/0/where/a b",
        "letters, digits",
    ),
    "[signals]\norder = [{ type = 'refund', where = 3 }]": ("/signals/order/0/where", "expected a table"),
    "engagement = 3": ("/engagement", "expected a table, got `int`"),
    "[engagement]\nttl_days = 'x'": ("/engagement/ttl_days", "got `str`"),
    "[engagement]\nttl_days = 0": ("/engagement/ttl_days", "> 0"),
    "[engagement]\nttl_days = nan": ("/engagement/ttl_days", "> 0"),
    "[engagement]\nttl_days = inf": ("/engagement/ttl_days", "<= 400"),
    "[transaction]\nmax_days = -1": ("/transaction/max_days", "> 0"),
    "[transaction]\nafter_fulfilled_days = 401": ("/transaction/after_fulfilled_days", "<= 400"),
    "[retention]\nat_risk_after_days = true": ("/retention/at_risk_after_days", "got `bool`"),
    "[engagement]\nmin_interest = 1.5": ("/engagement/min_interest", "got `float`"),
    "[engagement]\nmin_interest = 0": ("/engagement/min_interest", ">= 1"),
    "[engagement]\nmin_interest = 65": ("/engagement/min_interest", "<= 64"),
    "version = ''": ("/version", "length >= 1"),
    "version = 2": ("/version", "got `int`"),
    "not toml": ("", "own.toml: expected TOML"),
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_refused_with_the_key_and_what_is_allowed(tmp_path, text):
    pointer, message = BAD[text]
    with pytest.raises(InvalidJourney) as caught:
        load(tmp_path, text)
    assert caught.value.pointer == pointer
    assert message in str(caught.value)
    assert str(caught.value).startswith(pointer[1:].replace("/", "."))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    (tmp_path / "own.toml").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "own.toml", tmp_path / "none.toml", tmp_path):
        with pytest.raises(InvalidJourney, match="expected a readable TOML file"):
            Journey.load(path)
