"""Opaque cursors: where a reader of pages stands, in text that goes into a query string.

A cursor holds no id of a customer. It says what it is of, so that one of another list is refused.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from service.problems import Flaw, InvalidRequest

if TYPE_CHECKING:
    from typing import Any

Place = TypeVar("Place", bound=msgspec.Struct)
MAX_BYTES: Final = 16_384


def to_cursor(place: msgspec.Struct) -> str:
    """A place as text."""
    return base64.urlsafe_b64encode(zlib.compress(msgspec.msgpack.encode(place), 9)).decode().rstrip("=")


def of_cursor(text: str, kind: type[Place]) -> Place:
    """Inverse of :func:`to_cursor`.

    Raises
    ------
    InvalidRequest
        Not a cursor of this kind.
    """
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacking: Any = zlib.decompressobj()
        return msgspec.msgpack.decode(unpacking.decompress(packed, MAX_BYTES), type=kind)
    except (ValueError, zlib.error, msgspec.MsgspecError):
        raise wrong_cursor() from None


def wrong_cursor() -> InvalidRequest:
    """The refusal of what is no cursor, or one of another list."""
    return InvalidRequest((Flaw("/query/cursor", "invalid_cursor", "expected next_cursor of an earlier page"),))
