"""Ids and keys: the shop's own opaque strings, and the fixed-size numbers made of them.

Ids are bytes to us: no case folding, no Unicode normalisation, so that two accounts never merge.
"""

from __future__ import annotations

import base64
import re
from hashlib import blake2b
from typing import Final

from features.errors import InvalidId

MAX_ID_BYTES: Final = 128
N_PARTITIONS: Final = 64

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# Digits alone are an id: many shops pad theirs with zeros, as international numbers begin.
_PHONE = re.compile(r"\+[\d\s().-]{8,}|00[1-9]\d*[\s().-][\d\s().-]{5,}|\(\d{2,4}\)[\d\s.-]{6,}")
_NEEDS_ENCODING = frozenset({"", ".", ".."})


def check_id(text: object, *, pointer: str = "", allow_contact: bool = True) -> str:
    """Return ``text`` unchanged when it may be an id.

    Raises
    ------
    InvalidId
        Not a string, empty, over 128 bytes of UTF-8, with a control character or a lone
        surrogate, or, unless ``allow_contact``, an e-mail address or a phone number.
    """
    if not isinstance(text, str):
        raise InvalidId(f"expected a string as id, got {type(text).__name__}", pointer=pointer)
    if not text:
        raise InvalidId("expected a non-empty id", pointer=pointer)
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise InvalidId("expected an id of valid Unicode, got a lone surrogate", pointer=pointer) from None
    if size > MAX_ID_BYTES:
        raise InvalidId(f"expected an id of at most {MAX_ID_BYTES} bytes, got {size}", pointer=pointer)
    if not text.isprintable() and _CONTROL.search(text):
        raise InvalidId("expected an id without control characters", pointer=pointer)
    if not allow_contact and looks_like_contact(text):
        raise InvalidId(
            "expected an opaque id, got what looks like an e-mail address or a phone number", pointer=pointer
        )
    return text


def looks_like_contact(text: str) -> bool:
    """Whether the whole id reads as an e-mail address or an international phone number."""
    return bool(_EMAIL.fullmatch(text) or _PHONE.fullmatch(text))


def key64(text: str) -> int:
    """First 8 bytes of blake2b as a signed int64: ``item_key`` and ``cat_key`` of the log.

    The one place where these keys are made; engines' own hash functions differ.
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def customer_key(customer_id: str, pepper: bytes) -> str:
    """128-bit keyed blake2b of the id in hex: the only form in which a customer enters a Redis key."""
    return blake2b(customer_id.encode(), key=pepper, digest_size=16).hexdigest()


def erased_hash(customer_id: str, key: bytes) -> bytes:
    """128-bit keyed blake2b of an erased customer's id: how the log knows whose lines to leave out."""
    return blake2b(customer_id.encode(), key=key, digest_size=16).digest()


def partition_of(key: str) -> int:
    """Partition in ``[0, 64)`` of a ``customer_key``."""
    return int(key[-2:], 16) % N_PARTITIONS


def to_path(text: str) -> str:
    """Id as a path segment: ``~`` + base64url where the plain form could not be routed."""
    if "/" in text or text in _NEEDS_ENCODING or text.startswith("~"):
        return "~" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return text


def from_path(segment: str) -> str:
    """Inverse of :func:`to_path`.

    Raises
    ------
    InvalidId
        A segment that starts with ``~`` and is not base64url of UTF-8.
    """
    if not segment.startswith("~"):
        return check_id(segment)
    body = segment[1:]
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        return check_id(raw.decode())
    except ValueError:
        raise InvalidId("expected base64url of UTF-8 after ~") from None
