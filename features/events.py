"""The event log's vocabulary: event types, channels, and every column of a line.

A row of the log is a line of an event: most events have one line, an order has one a product.
The columns are declared here once; the online program and the offline job both build their
Arrow schema from this declaration.
"""

from __future__ import annotations

import math
import re
from enum import IntFlag, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from features.errors import InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_VERSION: Final = 1
DAY_US: Final = 86_400_000_000
LATE_AFTER_US: Final = DAY_US
MAX_SKEW_US: Final = 5 * 60 * 1_000_000
MAX_LINES: Final = 500
MAX_PROPERTIES_BYTES: Final = 8_192
ANONYMOUS: Final = "anon:"
"""How the id of a visitor begins whom nobody knows by name."""
_PROPERTY_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


class EventType(StrEnum):
    """Everything that can happen to a customer, in our words (see ``OTHER_NAMES`` for others')."""

    PAGE_VIEW = "page_view"
    SEARCH = "search"
    LIST_VIEW = "list_view"
    ITEM_VIEW = "item_view"
    ITEM_CLICK = "item_click"
    CONTENT_READ = "content_read"
    WISHLIST = "wishlist"
    SHARE = "share"
    LIKE = "like"
    BOOKMARK = "bookmark"
    COMMENT = "comment"
    FOLLOW = "follow"
    CART_ADD = "cart_add"
    CART_REMOVE = "cart_remove"
    CART_VIEW = "cart_view"
    CHECKOUT = "checkout"
    PURCHASE = "purchase"
    FULFILLED = "fulfilled"
    REFUND = "refund"
    REVIEW = "review"
    RATING = "rating"
    SUPPORT_OPEN = "support_open"
    SUPPORT_CLOSE = "support_close"
    SURVEY_ANSWER = "survey_answer"
    MESSAGE_DELIVERED = "message_delivered"
    MESSAGE_OPEN = "message_open"
    MESSAGE_CLICK = "message_click"
    MESSAGE_BOUNCE = "message_bounce"
    MESSAGE_UNSUBSCRIBE = "message_unsubscribe"
    IMPRESSION = "impression"
    SLATE_CLICK = "slate_click"
    IDENTIFY = "identify"
    LINK = "link"
    UNLINK = "unlink"
    CONSENT = "consent"


# Python 3.11 refuses text on the left of `in EventType`.
_OUR_NAMES: Final = frozenset(event_type.value for event_type in EventType)


class Channel(StrEnum):
    """Where it happened."""

    WEB = "web"
    APP = "app"
    EMAIL = "email"
    SOCIAL = "social"
    PHONE = "phone"
    STORE = "store"


class Consent(IntFlag):
    """Purposes agreed to when the event happened; ``KNOWN`` says that the caller stated them."""

    NONE = 0
    KNOWN = 1
    PERSONALISATION = 2
    EMAIL = 4
    SMS = 8
    PUSH = 16


KNOWN: Final = int(Consent.KNOWN)
ASKED_OF: Final = int(Consent.KNOWN | Consent.PERSONALISATION)
"""Bits that say whether what happened may be learned from: not where they are ``KNOWN`` alone."""

TRUST_LEVELS: Final = {"low": 0, "normal": 1, "high": 2}

OTHER_NAMES: Final[Mapping[str, str]] = {
    # Segment
    "page": "page_view",
    "Products Searched": "search",
    "Product List Viewed": "list_view",
    "Product Viewed": "item_view",
    "Product Clicked": "item_click",
    "Video Content Completed": "content_read",
    "Product Added to Wishlist": "wishlist",
    "Product Shared": "share",
    "Product Added": "cart_add",
    "Product Removed": "cart_remove",
    "Cart Viewed": "cart_view",
    "Checkout Started": "checkout",
    "Payment Info Entered": "checkout",
    "Order Completed": "purchase",
    "Order Refunded": "refund",
    "Order Cancelled": "refund",
    "Product Reviewed": "review",
    "Live Chat Conversation Started": "support_open",
    "Live Chat Conversation Ended": "support_close",
    "Email Delivered": "message_delivered",
    "Email Opened": "message_open",
    "Email Link Clicked": "message_click",
    "Email Bounced": "message_bounce",
    "Unsubscribed": "message_unsubscribe",
    "Promotion Viewed": "impression",
    "Promotion Clicked": "slate_click",
    # GA4
    "view_item_list": "list_view",
    "view_item": "item_view",
    "select_item": "item_click",
    "add_to_wishlist": "wishlist",
    "add_to_cart": "cart_add",
    "remove_from_cart": "cart_remove",
    "view_cart": "cart_view",
    "begin_checkout": "checkout",
    "add_payment_info": "checkout",
    "view_promotion": "impression",
    "select_promotion": "slate_click",
    # what shops' own logs often say
    "view": "item_view",
    "addtocart": "cart_add",
    "transaction": "purchase",
    "click": "item_click",
    "read": "content_read",
    "buy": "purchase",
    "order": "purchase",
    "cart": "cart_add",
}

WITH_ITEM: Final = frozenset(
    {"item_view", "item_click", "content_read", "wishlist", "cart_add", "cart_remove", "purchase", "review", "rating"}
)
"""Types that say nothing without an item."""


class Column(NamedTuple):
    """One column of the log: its name, Arrow type alias and whether it may be null."""

    name: str
    arrow: str
    nullable: bool = False


TIMESTAMP: Final = "timestamp[us, UTC]"
COLUMNS: Final = (
    Column("event_id", "string"),
    Column("line_no", "int32"),
    Column("customer_id", "string", True),
    Column("type", "string"),
    Column("item_id", "string", True),
    Column("item_key", "int64", True),
    Column("cat_key", "int64", True),
    Column("occurred_at", TIMESTAMP),
    Column("received_at", TIMESTAMP),
    Column("day", "int32"),
    Column("session_id", "string", True),
    Column("channel", "string"),
    Column("amount_minor", "int64", True),
    Column("currency", "string", True),
    Column("quantity", "int32", True),
    Column("slate_id", "string", True),
    Column("rank", "int32", True),
    Column("consent", "int32"),
    Column("trust", "int32"),
    Column("late", "bool"),
    Column("source", "string"),
    Column("schema_version", "int32"),
    Column("properties", "string"),
)


class Line(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One row of the log, as both engines see it. Times are microseconds since 1970 UTC.

    ``amount_minor`` is the line's total in the currency's minor unit (cents), ``day`` the UTC day
    of ``occurred_at`` since 1970, ``properties`` canonical flat JSON (see :func:`canonical`).
    """

    event_id: str
    type: str
    occurred_at: int
    received_at: int
    line_no: int = 0
    customer_id: str | None = None
    item_id: str | None = None
    item_key: int | None = None
    cat_key: int | None = None
    session_id: str | None = None
    channel: str = "web"
    amount_minor: int | None = None
    currency: str | None = None
    quantity: int | None = None
    slate_id: str | None = None
    rank: int | None = None
    consent: int = 0
    trust: int = 1
    late: bool = False
    source: str = "api"
    schema_version: int = SCHEMA_VERSION
    properties: str = "{}"

    @property
    def day(self) -> int:
        return self.occurred_at // DAY_US

    @property
    def counts(self) -> bool:
        """Whether the line may enter a state or a model: it came in time, and nobody refused personalisation."""
        return not self.late and self.consent & ASKED_OF != KNOWN


def type_of(name: str) -> str | None:
    """Our event type for one of ours, Segment's or GA4's names; None when nobody knows it."""
    return name if name in _OUR_NAMES else OTHER_NAMES.get(name)


def is_late(occurred_at: int, received_at: int) -> bool:
    """Whether an event came more than 24 hours after it happened (both in microseconds)."""
    return occurred_at < received_at - LATE_AFTER_US


def canonical(properties: Mapping[str, object]) -> str:
    """Properties as flat, compact JSON with sorted keys; nested names are joined by a dot.

    Raises
    ------
    InvalidEvent
        A name outside ``[A-Za-z0-9_.-]``, a value that is not text, number or boolean, a number
        that is not finite, or more than 8 KiB.
    """
    flat: dict[str, object] = {}
    _flatten(properties, "", flat)
    try:
        text = msgspec.json.encode(flat, order="sorted").decode()
    except UnicodeEncodeError:
        raise InvalidEvent("expected valid Unicode, got a lone surrogate", pointer="/properties") from None
    if len(text) > MAX_PROPERTIES_BYTES:
        raise InvalidEvent(f"expected properties of at most {MAX_PROPERTIES_BYTES} bytes", pointer="/properties")
    return text


def _flatten(value: Mapping[str, object], prefix: str, into: dict[str, object]) -> None:
    for name, inner in value.items():
        path = f"{prefix}{name}"
        if not _PROPERTY_NAME.fullmatch(path):
            raise InvalidEvent("expected property names of letters, digits, _ . -, at most 64", pointer="/properties")
        if isinstance(inner, dict):
            _flatten(inner, f"{path}.", into)
        elif inner is None:
            continue
        elif isinstance(inner, list | tuple):
            into[path] = ",".join(_listed(x, path) for x in inner)
        elif isinstance(inner, float) and not math.isfinite(inner):
            raise InvalidEvent("expected a finite number", pointer=f"/properties/{path}")
        elif isinstance(inner, str | int | float):
            into[path] = inner
        else:
            raise InvalidEvent("expected text, a number or true/false", pointer=f"/properties/{path}")


def _listed(value: object, path: str) -> str:
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise InvalidEvent("expected a list of text, finite numbers or true/false", pointer=f"/properties/{path}")
