"""Single values, as they come from JSON or a file, checked one at a time."""

from __future__ import annotations

from typing import Final

INT32_MAX: Final = 2**31 - 1
MAX_CATEGORY_BYTES: Final = 512


class Unreadable(ValueError):
    """A value that is not what its place asks for; the message never echoes it.

    Raised where the place is not known. :class:`features.fields.Fields` and the importers name it.
    """


def whole(value: object, low: int, high: int) -> int:
    """A whole number within bounds; 2.0 counts as 2.

    Raises
    ------
    Unreadable
        What was expected and got; never the value itself.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"expected a whole number, got {type(value).__name__}")
    if not low <= value <= high or value != int(value):
        raise Unreadable(f"expected a whole number from {low} to {high}")
    return int(value)


def text(value: object, max_bytes: int) -> str:
    """Valid Unicode of at most ``max_bytes`` of UTF-8.

    Raises
    ------
    Unreadable
        What was expected and got; never the value itself.
    """
    if not isinstance(value, str):
        raise Unreadable(f"expected text, got {type(value).__name__}")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Unreadable("expected valid Unicode, got a lone surrogate") from None
    if size > max_bytes:
        raise Unreadable(f"expected at most {max_bytes} bytes, got {size}")
    return value


def category(value: object) -> str:
    """A category path such as ``home/kitchen/cups``: at most 512 bytes, no empty part.

    Raises
    ------
    Unreadable
        What was expected and got; never the value itself.
    """
    path = text(value, MAX_CATEGORY_BYTES)
    if not all(path.split("/")):
        raise Unreadable("expected a category path without empty parts, such as home/kitchen")
    return path
