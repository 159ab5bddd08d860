from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidId
from features.ids import (
    MAX_ID_BYTES,
    N_PARTITIONS,
    check_id,
    customer_key,
    from_path,
    key64,
    looks_like_contact,
    partition_of,
    to_path,
)

ids = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=32).filter(
    lambda text: len(text.encode()) <= MAX_ID_BYTES
)
ODD_IDS = [
    "محمد",
    "🛒🛒",
    "a\u200fb",
    "x" * 128,
    "../",
    "{}",
    "{a}b",
    ".",
    "..",
    "~",
    "~x",
    "a/b",
    "a b",
    "Ä",
    "A\u0308",
]


@pytest.mark.parametrize("text", ODD_IDS)
def test_an_odd_id_is_admitted_byte_for_byte(text):
    assert check_id(text) is text


@given(ids)
def test_an_id_survives_the_way_through_a_path(text):
    segment = to_path(text)
    assert from_path(segment) == text
    assert "/" not in segment
    assert segment not in {"", ".", ".."}


@pytest.mark.parametrize("text", ["a/b", ".", "..", "~a"])
def test_an_id_that_cannot_be_routed_is_written_in_base64(text):
    assert to_path(text).startswith("~")


@pytest.mark.parametrize("segment", ["~", "~a", "~!!!!", "~/w==", "~gA", "~é"])
def test_a_path_that_only_pretends_to_be_base64_is_refused(segment):
    with pytest.raises(InvalidId):
        from_path(segment)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "NoneType"),
        (7, "int"),
        (b"x", "bytes"),
        ("", "non-empty"),
        ("x" * 129, "129"),
        ("ü" * 65, "130"),
        ("a\nb", "control"),
        ("a\x00b", "control"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_is_no_id_is_refused_with_a_pointer_and_without_an_echo(value, word):
    with pytest.raises(InvalidId, match=word) as caught:
        check_id(value, pointer="/customer_id")
    assert caught.value.pointer == "/customer_id"
    assert "xxxx" not in str(caught.value)


@pytest.mark.parametrize("text", ["me@example.com", "+49 170 1234567", "0049-170-1234567", "(030) 123-4567"])
def test_a_contact_is_no_customer_id_unless_allowed(text):
    assert looks_like_contact(text)
    assert check_id(text) == text
    with pytest.raises(InvalidId, match="opaque"):
        check_id(text, allow_contact=False)


@pytest.mark.parametrize(
    "text",
    [
        "12345678901",
        "0000123456",
        "00491701234567",
        "a@b",
        "user@",
        "1-2-3",
        "2024-01-01",
        "0123456789",
        "49170123456789012",
    ],
)
def test_digits_and_near_misses_are_no_contact(text):
    assert not looks_like_contact(text)


def test_keys_are_the_first_eight_bytes_of_blake2b_for_ever():
    assert key64("sku-9") == -1762408402528198649
    assert key64("") == int.from_bytes(bytes.fromhex("e4a6a0577479b2b4"), "big", signed=True)


@given(ids, ids)
def test_keys_tell_ids_apart(one, other):
    assert (key64(one) == key64(other)) == (one == other)


@given(ids)
def test_a_customer_key_hides_the_id_and_falls_into_a_partition(text):
    key = customer_key(text, b"p" * 32)
    assert len(key) == 32
    assert key != customer_key(text, b"q" * 32)
    assert 0 <= partition_of(key) < N_PARTITIONS
