"""One raw event, as a website or a file gives it, turned into lines of the log.

The online program and the importers read events through here, so that both admit the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from features.consent import PURPOSES
from features.errors import InvalidEvent
from features.events import (
    ANONYMOUS,
    MAX_LINES,
    MAX_SKEW_US,
    WITH_ITEM,
    Channel,
    Consent,
    EventType,
    Line,
    canonical,
    is_late,
    type_of,
)
from features.fields import Fields
from features.identity import LINKING
from features.ids import check_id, key64
from features.money import minor_units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    CategoryOf = Callable[[str], str | None]

IDENTIFY_TRAITS: Final = frozenset(
    {"locale", "segment", "country", "timezone", "loyalty_tier", "interests", "anonymous_id"}
)
"""What ``identify`` may declare; everything else (names, addresses, birthdays) is left out of the log."""

COUNTED_ONCE: Final = frozenset({"cart_add", "cart_remove", "purchase", "refund"})
"""Types whose line is of one unit where no quantity is given."""

EVENT_FIELDS: Final = frozenset(
    {
        *("event_id", "type", "customer_id", "anonymous_id", "occurred_at", "session_id", "channel", "items"),
        *(
            "item_id",
            "quantity",
            "price",
            "amount",
            "category",
            "currency",
            "slate_id",
            "rank",
            "consent",
            "properties",
        ),
    }
)
LINE_FIELDS: Final = frozenset({"item_id", "quantity", "price", "amount", "category"})

_PURPOSES = frozenset(PURPOSES)
_CHANNELS = frozenset(channel.value for channel in Channel)
_NO_ITEM: Final[tuple[dict[str, Any], ...]] = ({},)


def lines_of(
    record: Mapping[str, object],
    *,
    received_at: int,
    source: str,
    category_of: CategoryOf | None = None,
    trust: int = 1,
    allow_contact_ids: bool = False,
    latest_now: int = 0,
) -> tuple[Line, ...]:
    """The lines of one event: one, or one a member of ``items``.

    Parameters
    ----------
    record : mapping
        ``event_id``, ``type`` (our name, Segment's or GA4's), ``occurred_at`` (see
        :func:`features.moments.moment`), ``customer_id`` or ``anonymous_id``, and what else
        ``EVENT_FIELDS`` has. ``amount`` is the total of the line, ``price`` of one unit, both in major
        units; of an order each of ``items`` has its own.
    received_at : int
        Microseconds. For history it is the event's own time, so that nothing is late.
    source : str
        Who gave the event; stored with it.
    category_of : callable, optional
        Category path of an item the catalog knows; the event's own ``category`` stands where it is None.
    allow_contact_ids : bool
        Admit customer ids that look like e-mail addresses or phone numbers.
    latest_now : int
        Microseconds. What another clock shows: an event lies in the future when it does by both.

    Returns
    -------
    tuple of Line
        Never empty. With both ids given the customer is ``customer_id``, and ``properties`` keep
        ``anonymous_id``. An event without either is a signal about its item.

    Raises
    ------
    InvalidEvent, InvalidId
        With the JSON pointer of the first field that cannot be used.
    """
    event = Fields(record, EVENT_FIELDS, InvalidEvent)
    event_type = _type(event)
    occurred_at = _occurred_at(event, max(received_at, latest_now))
    customer_id, other_id = _subject(event, allow_contact=allow_contact_ids)
    currency = event.currency()
    lines = _lines(event, event_type, currency, category_of)
    if customer_id is None and "item_id" not in lines[0]:
        raise event.wrong("customer_id", "expected a customer_id or an anonymous_id where there is no item")
    shared: dict[str, Any] = {
        "event_id": _required(event, "event_id"),
        "type": event_type,
        "occurred_at": occurred_at,
        "received_at": received_at,
        "customer_id": customer_id,
        "session_id": event.id("session_id"),
        "channel": channel_of(event.raw("channel"), event),
        "currency": currency,
        "slate_id": event.id("slate_id"),
        "rank": event.whole("rank"),
        "consent": consent_bits(event.raw("consent")),
        "trust": trust,
        "late": is_late(occurred_at, received_at),
        "source": source,
        "properties": _properties(event, event_type, _Subject(customer_id, other_id, allow_contact_ids)),
    }
    return tuple(Line(line_no=line_no, **shared, **line) for line_no, line in enumerate(lines))


def anonymous(customer_id: str) -> str:
    """An anonymous visitor's id in the one form the log has: ``anon:…``."""
    return customer_id if customer_id.startswith(ANONYMOUS) else ANONYMOUS + customer_id


def consent_bits(value: object) -> int:
    """Purposes agreed to; 0 where the caller stated none.

    Raises
    ------
    InvalidEvent
        An unknown purpose, or something that is not true or false.
    """
    if value is None:
        return 0
    fields = Fields(value, frozenset(PURPOSES), InvalidEvent, ("consent",))
    bits = Consent.KNOWN
    for purpose, bit in PURPOSES.items():
        if fields.flag(purpose):
            bits |= bit
    return int(bits)


def properties_of(event_type: str, properties: Mapping[str, object], other_id: str | None) -> str:
    """Properties as the log keeps them: canonical, of ``identify`` only what may be declared.

    A ``link`` or ``unlink`` names the other identity as ``from``: the one given there, else the visitor's id.

    Parameters
    ----------
    other_id : str, optional
        The visitor's id that came beside a customer's.

    Raises
    ------
    InvalidEvent
        See :func:`features.events.canonical`.
    """
    if event_type in LINKING:
        return canonical({**properties, "from": _linked_id(properties, other_id)})
    if event_type == EventType.IDENTIFY:
        properties = {name: value for name, value in properties.items() if name in IDENTIFY_TRAITS}
    if other_id is not None:
        properties = {**properties, "anonymous_id": other_id}
    return canonical(properties) if properties else "{}"


def _linked_id(properties: Mapping[str, object], other_id: str | None) -> str:
    if (given := properties.get("from", other_id)) is None:
        raise InvalidEvent("expected the other identity here, or as anonymous_id", pointer="/properties/from")
    return check_id(given, pointer="/properties/from")


def channel_of(value: object, event: Fields) -> str:
    """Channel of an event; web where it is not said."""
    if value is None:
        return "web"
    if isinstance(value, str) and value in _CHANNELS:
        return value
    raise event.wrong("channel", f"expected one of {', '.join(Channel)}")


def _type(event: Fields) -> str:
    name = event.raw("type")
    if not isinstance(name, str):
        raise event.wrong("type", f"expected the name of an event, got {type(name).__name__}")
    if (found := type_of(name)) is None:
        raise event.wrong("type", "expected an event name of ours, Segment's or GA4's, got an unknown one")
    return found


def _occurred_at(event: Fields, now: int) -> int:
    occurred_at = event.moment("occurred_at")
    if occurred_at is None:
        raise event.wrong("occurred_at", "expected the time when it happened")
    if occurred_at > now + MAX_SKEW_US:
        raise event.wrong("occurred_at", "expected a time at most 5 minutes in the future")
    return occurred_at


def _required(event: Fields, name: str) -> str:
    value = event.id(name)
    if value is None:
        raise event.wrong(name, f"expected an {name}")
    return value


def _subject(event: Fields, *, allow_contact: bool) -> tuple[str | None, str | None]:
    """Whose event it is, and the anonymous id that came beside a known one."""
    customer_id = event.id("customer_id", allow_contact=allow_contact)
    given = event.id("anonymous_id", allow_contact=allow_contact)
    if given is None:
        return customer_id, None
    visitor = check_id(anonymous(given), pointer="/anonymous_id")
    return (visitor, None) if customer_id is None else (customer_id, visitor)


def _lines(
    event: Fields, event_type: str, currency: str | None, category_of: CategoryOf | None
) -> tuple[dict[str, Any], ...]:
    items = event.raw("items")
    if items is None or items == []:
        line = _line(event, event_type, currency, category_of)
        if "item_id" not in line and event_type in WITH_ITEM:
            raise event.wrong("item_id", f"expected an item_id or items with {event_type}")
        return (line,) if line else _NO_ITEM
    for name in sorted(LINE_FIELDS):
        if event.has(name):
            raise event.wrong(name, "expected this within each of items")
    if not isinstance(items, list | tuple) or len(items) > MAX_LINES:
        raise event.wrong("items", f"expected a list of at most {MAX_LINES} items")
    return tuple(_member(item, n, event_type, currency, category_of) for n, item in enumerate(items))


def _member(
    item: object, n: int, event_type: str, currency: str | None, category_of: CategoryOf | None
) -> dict[str, Any]:
    record = {"item_id": item} if isinstance(item, str) else item
    fields = Fields(record, LINE_FIELDS, InvalidEvent, ("items", n))
    if not fields.has("item_id"):
        raise fields.wrong("item_id", "expected an item_id")
    return _line(fields, event_type, currency, category_of)


def _line(fields: Fields, event_type: str, currency: str | None, category_of: CategoryOf | None) -> dict[str, Any]:
    """What differs from line to line of one event."""
    line: dict[str, Any] = {}
    item_id = fields.id("item_id")
    category = fields.category()
    if item_id is not None:
        line["item_id"] = item_id
        line["item_key"] = key64(item_id)
        category = (category_of(item_id) if category_of else None) or category
    if category is not None:
        line["cat_key"] = key64(category)
    quantity = fields.whole("quantity", 1)
    if quantity is None and item_id is not None and event_type in COUNTED_ONCE:
        quantity = 1
    if quantity is not None:
        line["quantity"] = quantity
    if (amount := _amount(fields, quantity, currency)) is not None:
        line["amount_minor"] = amount
    return line


def _amount(fields: Fields, quantity: int | None, currency: str | None) -> int | None:
    total, price = fields.decimal("amount"), fields.decimal("price")
    if total is not None:
        return fields.read("amount", lambda _: minor_units(total, currency))
    return None if price is None else fields.read("price", lambda _: minor_units(price * (quantity or 1), currency))


class _Subject(NamedTuple):
    """Whose event it is, the anonymous id beside a known one, and whether ids may be contact details."""

    customer_id: str | None
    other_id: str | None
    allow_contact: bool


def _properties(event: Fields, event_type: str, subject: _Subject) -> str:
    properties = event.raw("properties") if event.has("properties") else {}
    if not isinstance(properties, dict):
        raise event.wrong("properties", f"expected an object, got {type(properties).__name__}")
    if event_type in LINKING:
        other = _linked_id(properties, subject.other_id)
        check_id(other, pointer="/properties/from", allow_contact=subject.allow_contact)
        if subject.customer_id in {None, other}:
            raise InvalidEvent("expected two different identities", pointer="/properties/from")
    if event_type == EventType.CONSENT:
        properties = {**_agreed(properties, event.raw("consent") or {}), **properties}
    return properties_of(event_type, properties, subject.other_id)


def _agreed(properties: Mapping[str, object], stated: Mapping[str, object]) -> dict[str, bool]:
    """The purposes that a ``consent`` event changes: those that its properties name, else those that it states."""
    told = Fields(
        {name: properties[name] for name in PURPOSES if name in properties} or stated,
        _PURPOSES,
        InvalidEvent,
        ("properties",),
    )
    changes = {name: given for name in PURPOSES if (given := told.flag(name)) is not None}
    if not changes:
        raise InvalidEvent(f"expected at least one of {', '.join(PURPOSES)}", pointer="/properties")
    return changes
