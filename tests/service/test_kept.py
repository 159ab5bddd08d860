from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from features.journey import STAGES, Standing
from recommender.reasons import REASON_TEXTS
from service.store.kept import Kept, KeptSlot, digest_of_ask, digest_of_key, pack_kept, pack_slots, unpack_kept

slots = st.builds(
    KeptSlot,
    item_key=st.integers(-(1 << 63), (1 << 63) - 1),
    score=st.floats(width=32, allow_nan=False),
    propensity=st.sampled_from([1.0, 0.5, 0.25]),
    source=st.sampled_from(sorted(REASON_TEXTS)),
)


def kept(places: tuple[KeptSlot, ...], **more) -> Kept:
    facts = {
        "slate_id": "0" + "f" * 31,
        "asked": digest_of_ask(["home"]),
        "decided_at": 1_786_440_600_123_456,
        "ttl_s": 259_200,
        "standing": Standing("transaction", "fulfilment", True, 1_786_440_600_123_456, None),
        "strategy": "personal",
        "version": "abcdef012345",
        "is_personalised": True,
    }
    return Kept(packed=pack_slots(places), **facts | more)


@given(st.lists(slots, max_size=100).map(tuple), st.sampled_from(STAGES), st.booleans(), st.none() | st.just(1 << 50))
def test_a_kept_slate_reads_as_it_was_written(places, stage, is_personalised, since) -> None:
    standing = Standing(stage, None, stage == "retention", since, None)
    written = kept(places, standing=standing, is_personalised=is_personalised)
    read = unpack_kept(pack_kept(written))
    assert read == written
    assert read.slots == places


def test_twenty_items_take_at_most_400_bytes_and_a_hundred_1600() -> None:
    worst = KeptSlot(-(1 << 63), 1.1, 1.0, "popular")
    assert len(pack_kept(kept((worst,) * 20, strategy="withheld-and-more"))) <= 400
    assert len(pack_kept(kept((worst,) * 100))) <= 1_610


@given(slots, st.integers(1, 14), st.integers(len(REASON_TEXTS), 255))
def test_slots_that_cannot_be_read_are_no_kept_slate(place, n_bytes, source) -> None:
    whole = pack_slots((place, place))
    assert unpack_kept(pack_kept(msgspec.structs.replace(kept(()), packed=whole[:-n_bytes]))) is None
    assert unpack_kept(pack_kept(msgspec.structs.replace(kept(()), packed=whole[:-1] + bytes([source])))) is None


def test_text_that_is_no_utf8_is_no_kept_slate() -> None:
    assert unpack_kept(pack_kept(kept((), strategy="personal")).replace(b"personal", b"person\xff\xff")) is None


@given(st.binary(max_size=200))
def test_what_nobody_wrote_is_no_kept_slate(raw) -> None:
    assert unpack_kept(raw) is None


def test_keys_and_asks_have_digests_of_their_own() -> None:
    assert digest_of_key("a") != digest_of_key("b")
    assert digest_of_ask({"a": 1, "b": 2}) == digest_of_ask({"b": 2, "a": 1}) != digest_of_ask({"a": 2, "b": 1})
