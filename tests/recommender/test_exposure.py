from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.exposure import (
    BOUGHT,
    CLICKED,
    F_COUNT,
    KEEP_MS,
    MAX_FOLDED,
    MAX_SHOWS,
    NOTHING_SHOWN,
    REACTION,
    SEEN,
    Exposure,
    Sign,
    halves,
    slate_id_of,
)
from recommender.exposure_codec import UnreadableExposure, pack_exposure, unpack_exposure
from tests.recommender.exposures import DAY, HOUR, MINUTE, NOW_MS, memories, shown, slate_id


def same(a: Exposure, b: Exposure) -> bool:
    return np.array_equal(a.shows, b.shows) and np.array_equal(a.folded, b.folded)


@given(memories(), memories(), memories())
@settings(max_examples=50)
def test_merging_has_no_order_and_twice_is_once(a, b, c) -> None:
    assert same(a.merged(b), b.merged(a))
    assert same(a.merged(b).merged(c), a.merged(b.merged(c)))
    assert same(a.merged(a), a)
    assert same(a.merged(NOTHING_SHOWN), a)


@given(memories())
@settings(max_examples=50)
def test_a_memory_reads_as_it_was_written(memory) -> None:
    assert same(unpack_exposure(pack_exposure(memory)), memory)


@given(memories().filter(lambda memory: not memory.is_empty), st.data())
@settings(max_examples=50)
def test_damaged_bytes_are_never_read_as_a_memory(memory, data) -> None:
    raw = bytearray(pack_exposure(memory))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(UnreadableExposure):
        unpack_exposure(bytes(raw))


@given(st.integers(0, (1 << 63) - 1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_a_slate_id_survives_as_two_numbers(hi, lo) -> None:
    assert halves(slate_id_of(hi, lo)) == (hi, lo)


def test_a_record_takes_less_than_24_bytes() -> None:
    assert len(pack_exposure(shown(*((NOW_MS - n * HOUR, tuple(range(8))) for n in range(40))))) / 320 < 14
    assert len(pack_exposure(shown(*((NOW_MS - n * HOUR, (1, 2)) for n in range(40))))) / 80 < 24


def test_a_reservation_counts_until_it_expires_and_a_seen_show_goes_on_counting() -> None:
    memory = shown((NOW_MS - 31 * MINUTE, (1,)), (NOW_MS - 29 * MINUTE, (2,)), seen=False)
    assert memory.counting(NOW_MS).tolist() == [False, True]
    seen = memory.with_sign(Sign(slate_id(NOW_MS - 31 * MINUTE, 0), 1, NOW_MS, 0, "web"))
    assert seen.counting(NOW_MS).tolist() == [True, True]


def test_a_mailed_slate_is_reserved_for_three_days() -> None:
    memory = shown((NOW_MS - 71 * HOUR, (1,)), channel="email", ttl_s=72 * 3600, seen=False)
    assert memory.counting(NOW_MS).all()
    assert not memory.counting(NOW_MS + HOUR).any()


def test_signs_only_ever_add() -> None:
    slate = slate_id(NOW_MS - HOUR, 0)
    memory = shown((NOW_MS - HOUR, (1, 2)), seen=False)
    clicked = memory.with_sign(Sign(slate, 2, NOW_MS - 30 * MINUTE, CLICKED, "web"))
    assert clicked.shows[:, REACTION].tolist() == [0, CLICKED]
    assert clicked.shows[:, SEEN].tolist() == [0, 31]
    opened = clicked.with_sign(Sign(slate, None, NOW_MS - 50 * MINUTE, 0, "web"))
    assert opened.shows[:, SEEN].tolist() == [11, 31]
    assert opened.shows[:, REACTION].tolist() == [0, CLICKED]
    assert opened.with_sign(Sign(slate, 2, NOW_MS - 40 * MINUTE, 0, "web")) is opened


def test_a_late_sign_brings_a_forgotten_show_back_and_an_ancient_or_foreign_one_does_not() -> None:
    late = NOTHING_SHOWN.with_sign(Sign(slate_id(NOW_MS - DAY), 7, NOW_MS, BOUGHT, "web"))
    assert late.shows[0].tolist()[2:] == [7, 0, 0, 0, DAY // MINUTE + 1, BOUGHT]
    for slate in (slate_id(NOW_MS - KEEP_MS - HOUR), slate_id(NOW_MS + DAY), "campaign-7", "f" * 32):
        assert NOTHING_SHOWN.with_sign(Sign(slate, 7, NOW_MS, BOUGHT, "web")) is NOTHING_SHOWN


def test_the_last_slate_of_a_day_that_showed_an_item_is_found() -> None:
    memory = shown((NOW_MS - 25 * HOUR, (3,)), (NOW_MS - 3 * HOUR, (1,)), (NOW_MS - 2 * HOUR, (1, 2)))
    assert memory.shown_lately(1, NOW_MS, DAY) == slate_id(NOW_MS - 2 * HOUR, 2)
    assert memory.shown_lately(1, NOW_MS - 150 * MINUTE, DAY) == slate_id(NOW_MS - 3 * HOUR, 1)
    assert memory.shown_lately(3, NOW_MS, DAY) is None


def test_what_is_older_than_thirty_days_goes() -> None:
    memory = shown((NOW_MS - 31 * DAY, (1,)), (NOW_MS - DAY, (2,)))
    assert memory.pruned(NOW_MS, 0).shows[:, 2].tolist() == [2]


def test_a_full_memory_forgets_what_nobody_saw_before_it_counts_by_the_hour() -> None:
    unseen = shown(*((NOW_MS - DAY + n * MINUTE, tuple(range(8))) for n in range(30)), seen=False)
    seen = shown(*((NOW_MS - HOUR + n * MINUTE, tuple(range(8))) for n in range(50)))
    kept = unseen.merged(seen).pruned(NOW_MS, 5)
    assert len(kept.shows) == MAX_SHOWS
    assert (kept.shows[:, SEEN] > 0).all()
    assert kept.folded[:, F_COUNT].sum() == 400 - MAX_SHOWS
    again = kept.pruned(NOW_MS, 5)
    assert same(kept, again)


def test_a_memory_has_a_greatest_size() -> None:
    memory = NOTHING_SHOWN
    for n in range(60):
        keys = [(n * 100 + k, "product") for k in range(100)]
        memory = memory.with_slate(slate_id(NOW_MS + n * MINUTE, n), keys, 1_800, "web").pruned(NOW_MS, 1)
    assert len(memory.shows) <= MAX_SHOWS
    assert len(memory.folded) == MAX_FOLDED
    assert len(pack_exposure(memory)) < 40_000
