from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InputError
from features.ids import key64
from recommender import engine
from recommender.allowance import allowance_of
from recommender.blend import pool_of
from recommender.caps import Cap, Caps
from recommender.exposure import CLICKED, NOTHING_SHOWN, Exposure, Sign
from recommender.items import KINDS
from recommender.slate import SlateRequest
from tests.recommender.exposures import DAY, HOUR, MINUTE, NOW_MS, shown, slate_id
from tests.recommender.small import CATALOG, JOURNEY, NOW, after, small_engine

ENGINE = small_engine()
EMPTY = JOURNEY.schema.empty()
KIND_OF = {item.item_id: item.kind for item in CATALOG}


def capped(memory: Exposure, text: str, channel: str = "web") -> dict[str, list[int]]:
    allowance = allowance_of(memory, Caps.of_text(text), channel, NOW)
    return {} if allowance is None else {why: keys.tolist() for why, keys in allowance.capped.items()}


def test_the_default_caps_are_those_that_the_setting_would_write() -> None:
    assert Caps.of_text("item=10/7d, item.email=2/7d, kind.action=24/1d, channel.email=60/1d") == Caps()
    assert Caps.of_text("").caps == ()


@pytest.mark.parametrize("text", ["item", "item=0/1d", "item=3/60d", "kind=3/1d", "kind.shoe=3/1d", "channel.fax=1/1h"])
def test_a_cap_that_says_nothing_is_refused(text) -> None:
    with pytest.raises(InputError):
        Caps.of_text(text)


def test_nothing_shown_leaves_everything() -> None:
    assert allowance_of(NOTHING_SHOWN, Caps(), "web", NOW) is None


def test_an_item_is_capped_within_its_window_and_free_again_after_it() -> None:
    memory = shown((NOW_MS - 2 * HOUR, (1, 2)), (NOW_MS - 30 * MINUTE, (1,)))
    assert capped(memory, "item=2/3h") == {"shown_enough": [1]}
    assert capped(memory, "item=2/1h") == {}
    assert capped(memory, "item=1/1h") == {"shown_enough": [1]}


def test_a_reservation_that_expired_unseen_gives_its_place_back() -> None:
    memory = shown((NOW_MS - 2 * HOUR, (1,)), (NOW_MS - MINUTE, (2,)), seen=False)
    assert capped(memory, "item=1/1d") == {"shown_enough": [2]}


def test_a_cap_of_a_channel_counts_that_channel_and_binds_only_there() -> None:
    memory = shown((NOW_MS - HOUR, (1,)), channel="email").merged(shown((NOW_MS - HOUR + 1, (2,)), channel="web"))
    assert capped(memory, "item.email=1/1d", "email") == {"shown_enough_email": [1]}
    assert capped(memory, "item.email=1/1d", "web") == {}
    allowance = allowance_of(memory, Caps.of_text("channel.email=3/1d,kind.product=5/1d"), "email", NOW)
    assert allowance is not None
    assert (allowance.slots, allowance.room) == (2, {"product": 3})


def test_folded_shows_go_on_counting() -> None:
    slates = [(NOW_MS - 2 * HOUR + n * MINUTE, tuple(range(8))) for n in range(60)]
    kept = shown(*slates).pruned(NOW_MS, 1)
    assert len(kept.shows) < 480
    assert capped(kept, "item=60/1d") == {"shown_enough": list(range(8))}
    assert capped(kept, "item=61/1d") == {}


def test_an_ignored_item_fades_and_a_reaction_lifts_it() -> None:
    memory = shown((NOW_MS - 3 * DAY, (1, 2)), (NOW_MS, (1, 2)))
    memory = memory.with_sign(Sign(slate_id(NOW_MS, 1), 2, NOW_MS + MINUTE, CLICKED, "web"))
    allowance = allowance_of(memory, Caps(), "web", NOW)
    assert allowance is not None
    assert allowance.faded_key.tolist() == [1]
    assert allowance.fading.tolist() == pytest.approx([0.15 * 1.5])
    assert allowance.lost(np.array([0, 1, 2, 3])).tolist() == pytest.approx([0, 0.225, 0, 0])


def ids(slate) -> list[str]:
    return [item.item_id for item in slate.items]


def memory_of(slate, number: int, *, channel: str = "web", into: Exposure = NOTHING_SHOWN) -> Exposure:
    items = [(item.item_key, item.kind) for item in slate.items]
    return into.with_slate(slate_id(NOW_MS, number), items, 1_800, channel)


names = st.sampled_from([item.item_id for item in CATALOG])
deeds = st.lists(st.tuples(st.sampled_from(["item_view", "content_read", "cart_add", "purchase"]), names), max_size=8)


@given(deeds, st.integers(1, 12))
@settings(max_examples=25)
def test_an_empty_memory_changes_no_bit(events, limit) -> None:
    state, request = after(*events), SlateRequest(limit=limit)
    allowance = allowance_of(NOTHING_SHOWN, Caps(), "web", NOW)
    assert ENGINE.decide(state, request, NOW, allowance=allowance) == ENGINE.decide(state, request, NOW)


def test_what_was_shown_enough_is_left_out_of_the_second_retrieval_and_there_is_no_third(monkeypatch) -> None:
    n_asked = []
    monkeypatch.setattr(engine, "pool_of", lambda *given: n_asked.append(given) or pool_of(*given))
    state, all_of_it = after(("item_view", CATALOG[0].item_id)), SlateRequest(limit=len(CATALOG))
    slate = ENGINE.decide(state, all_of_it, NOW)
    n_asked.clear()
    allowance = allowance_of(memory_of(slate, 1), Caps.of_text("item=1/1d"), "web", NOW)
    again = ENGINE.decide(state, all_of_it, NOW, allowance=allowance)
    assert not {item.item_id for item in again.items} & {item.item_id for item in slate.items}
    assert len(n_asked) == 2


@given(deeds, st.integers(1, 6), st.lists(st.sampled_from(["web", "email"]), min_size=1, max_size=12))
@settings(max_examples=25)
def test_no_cap_is_broken_however_often_a_slate_is_decided(events, limit, channels) -> None:
    caps = Caps.of_text("item=3/1d, item.email=2/1d, kind.content=6/1d, channel.email=9/1d")
    state, memory, seen = after(*events), NOTHING_SHOWN, []
    for number, channel in enumerate(channels):
        allowance = allowance_of(memory, caps, channel, NOW)
        slate = ENGINE.decide(state, SlateRequest(limit=limit, channel=channel), NOW, allowance=allowance)
        memory = memory_of(slate, number, channel=channel, into=memory)
        seen += [(item.item_id, channel) for item in slate.items]
    everything = [item for item, _ in seen]
    assert all(everything.count(item) <= 3 for item in everything)
    assert all(seen.count(pair) <= 2 for pair in seen if pair[1] == "email")
    assert sum(KIND_OF[item] == "content" for item in everything) <= 6
    assert sum(channel == "email" for _, channel in seen) <= 9


@given(deeds)
@settings(max_examples=25)
def test_faded_is_one_of_the_reasons_and_they_still_sum_to_the_score(events) -> None:
    state, request = after(*events), SlateRequest(limit=6)
    first = ENGINE.decide(state, request, NOW)
    allowance = allowance_of(memory_of(first, 0), Caps(), "web", NOW)
    second = ENGINE.decide(state, request, NOW, allowance=allowance)
    assert {faded.item_id for faded in second.faded} == set(ids(first))
    for item in second.items:
        weights = {reason.code: reason.weight for reason in item.reasons}
        assert sum(weights.values()) == pytest.approx(item.score, abs=1e-6)
        assert (weights.get("faded", 0) < 0) == (item.item_id in ids(first))
        assert item.source != "faded"


def test_what_is_shown_again_and_again_gives_way_to_what_was_not() -> None:
    request = SlateRequest(limit=2, kinds=KINDS[:1])
    memory, firsts = NOTHING_SHOWN, []
    for number in range(8):
        slate = ENGINE.decide(EMPTY, request, NOW, allowance=allowance_of(memory, Caps(), "web", NOW))
        firsts.append(ids(slate)[0])
        memory = memory_of(slate, number, into=memory)
    assert len(set(firsts)) > 1


def test_an_item_that_was_shown_enough_says_so() -> None:
    first = ENGINE.decide(EMPTY, SlateRequest(limit=3), NOW)
    caps = Caps((Cap("item", None, 1, DAY),))
    second = ENGINE.decide(
        EMPTY, SlateRequest(limit=20), NOW, allowance=allowance_of(memory_of(first, 0), caps, "web", NOW)
    )
    why = {held.item_id: held.why for held in second.suppressed}
    assert {item: why[item] for item in ids(first)} == dict.fromkeys(ids(first), "shown_enough")
    assert key64(ids(first)[0]) not in {item.item_key for item in second.items}
