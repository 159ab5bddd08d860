"""The catalog: what can be recommended, one row an item.

The rows of ``catalog.parquet``, of ``PUT /v1/items`` and of the simulator are all :class:`Item`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from features.errors import InvalidCatalog, InvalidEvent
from features.events import canonical
from features.fields import Fields
from features.money import MAX_MINOR, minor_units
from features.values import Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["product", "content", "action"]
KINDS: Final = ("product", "content", "action")
MAX_TITLE_BYTES: Final = 1_024
MAX_TEXT_BYTES: Final = 65_536
MAX_LOCALE_BYTES: Final = 35

ITEM_FIELDS: Final = frozenset(
    {
        *("item_id", "kind", "title", "text", "category", "price", "price_minor", "currency", "available"),
        *("locale", "published_at", "attributes"),
    }
)


class Item(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One row of the catalog.

    ``category`` is a path (``home/kitchen``), ``price_minor`` counts the currency's minor unit,
    ``locale`` is None for an item that fits every language, ``published_at`` is microseconds since
    1970 UTC, ``attributes`` canonical flat JSON (see :func:`features.events.canonical`).
    """

    item_id: str
    kind: Kind = "product"
    title: str | None = None
    text: str | None = None
    category: str | None = None
    price_minor: int | None = None
    currency: str | None = None
    available: bool = True
    locale: str | None = None
    published_at: int | None = None
    attributes: str = "{}"


def check_item(row: Mapping[str, object]) -> Item:
    """The item that a JSON object describes; ``price`` in major units or ``price_minor``, not both.

    Raises
    ------
    InvalidCatalog
        With the JSON pointer of the field, and what was got and expected.
    InvalidId
        An ``item_id`` that may not be an id.
    """
    fields = Fields(row, ITEM_FIELDS, InvalidCatalog)
    item_id = fields.id("item_id")
    if item_id is None:
        raise fields.wrong("item_id", "expected an item_id")
    available = fields.flag("available")
    currency = fields.currency()
    return Item(
        item_id=item_id,
        kind=_kind(fields),
        title=fields.text("title", MAX_TITLE_BYTES),
        text=fields.text("text", MAX_TEXT_BYTES),
        category=fields.category(),
        price_minor=_price(fields, currency),
        currency=currency,
        available=True if available is None else available,
        locale=fields.read("locale", locale),
        published_at=fields.moment("published_at"),
        attributes=_attributes(fields),
    )


def locale(value: object) -> str:
    """A language tag such as ``tr`` or ``ar-EG``, with ``-`` between its parts.

    Raises
    ------
    Unreadable
        What was expected; never the value itself.
    """
    parts = value.replace("_", "-").split("-") if isinstance(value, str) else [""]
    if not (2 <= len(parts[0]) <= 3 and all(part.isascii() and part.isalnum() and len(part) <= 8 for part in parts)):
        raise Unreadable("expected a language tag, such as tr or ar-EG")
    if not parts[0].isalpha() or len("-".join(parts)) > MAX_LOCALE_BYTES:
        raise Unreadable("expected a language tag, such as tr or ar-EG")
    return "-".join(parts)


def _kind(fields: Fields) -> Any:
    kind = fields.raw("kind")
    if kind is not None and kind not in KINDS:
        raise fields.wrong("kind", f"expected one of {', '.join(KINDS)}")
    return kind or "product"


def _price(fields: Fields, currency: str | None) -> int | None:
    if fields.has("price_minor"):
        if fields.has("price"):
            raise fields.wrong("price", "expected price or price_minor, got both")
        return fields.whole("price_minor", 0, MAX_MINOR)
    price = fields.decimal("price")
    return None if price is None else fields.read("price", lambda _: minor_units(price, currency))


def _attributes(fields: Fields) -> str:
    value = fields.raw("attributes")
    if value is None:
        return "{}"
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) else value
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise fields.wrong("attributes", "expected an object, or the text of one") from None
    if not isinstance(found, dict):
        raise fields.wrong("attributes", f"expected an object, got {type(found).__name__}")
    try:
        return canonical(found)
    except InvalidEvent as error:
        raise fields.wrong("attributes", str(error)) from None
