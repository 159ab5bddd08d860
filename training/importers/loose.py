"""Values as files write them, read with the leniency that a file needs and the API does not.

Each function ends in the one that the API uses, so what is admitted is the same.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec

from features.events import Channel, type_of
from features.ids import check_id
from features.ingest import consent_bits
from features.moments import bounded, moment, of_datetime
from features.money import check_currency, decimal
from features.values import INT32_MAX, Unreadable, category, text, whole
from training.importers.dates import WRITTEN

_EPOCH = re.compile(r"\d{1,20}(\.\d{1,9})?", re.ASCII)
_ZONE = re.compile(r"(Z|UTC|[+-]\d\d:?\d\d)$", re.IGNORECASE)
_DAY = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", re.ASCII)


def an_id(value: object, *, allow_contact: bool = True) -> str:
    """An id; a whole number counts as its digits, as 17850.0 does where a column had gaps."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unreadable("expected an id, got NaN or infinity")
        if value != int(value):
            raise Unreadable("expected an id, got a fraction")
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value.lower() == "nan":
        raise Unreadable("expected an id, got NaN")
    return check_id(_utf8(value), allow_contact=allow_contact)


def a_customer(value: object) -> str:
    """An opaque customer id: no e-mail address, no phone number."""
    return an_id(value, allow_contact=False)


def a_moment(value: object) -> int:
    """Microseconds since 1970 UTC; a time without a zone is taken as UTC, a day as its midnight.

    Eight digits that are a day of the calendar, such as 20260301, are that day.
    """
    if isinstance(value, str):
        return _moment_of_text(value.strip().removesuffix(" UTC"))
    if isinstance(value, datetime):
        return bounded(of_datetime(value if value.tzinfo else value.replace(tzinfo=UTC)))
    if isinstance(value, date):
        return bounded(of_datetime(datetime.combine(value, time(), UTC)))
    if isinstance(value, int) and _DAY.fullmatch(str(value)):
        return _moment_of_text(str(value))
    return moment(value)


def says_zone(value: object) -> bool:
    """Whether a time fixes its moment: it has a zone, or counts from 1970."""
    if isinstance(value, datetime):
        return value.tzinfo is not None
    if isinstance(value, date):
        return False
    return (
        not isinstance(value, str) or _EPOCH.fullmatch(value.strip()) is not None or bool(_ZONE.search(value.strip()))
    )


def a_type(value: object) -> str:
    """Our event type; upper and lower case are the same here."""
    name = text(_utf8(value), 256).strip()
    found = type_of(name) or type_of(name.lower())
    if found is None:
        raise Unreadable("expected an event name of ours, Segment's or GA4's, got an unknown one")
    return found


def a_category(value: object) -> str:
    """A category path; a number counts as its digits."""
    return category(an_id(value) if isinstance(value, int | float) else _utf8(value))


def a_channel(value: object) -> str:
    """One of our channels."""
    name = text(_utf8(value), 64).lower()
    if name not in {channel.value for channel in Channel}:
        raise Unreadable(f"expected one of {', '.join(Channel)}")
    return name


def a_number(value: object) -> Decimal:
    """An exact finite number."""
    if isinstance(value, str) and value.strip().lower() == "nan":
        raise Unreadable("expected a number, got NaN")
    return decimal(value.strip() if isinstance(value, str) else value)


def a_currency(value: object) -> str:
    """An ISO 4217 code."""
    return check_currency(text(_utf8(value), 16).upper())


def a_quantity(value: object) -> int:
    """A whole number of at least 1."""
    return _whole(value, 1)


def a_rank(value: object) -> int:
    """A whole number of at least 0."""
    return _whole(value, 0)


def consents(value: object) -> int:
    """Bits of a consent object, or the text of one."""
    return consent_bits(an_object(value))


def an_object(value: object) -> dict[str, Any]:
    """A JSON object, or the text of one."""
    try:
        found = msgspec.json.decode(value) if isinstance(value, str) else value
    except (msgspec.DecodeError, UnicodeEncodeError):
        found = None
    if not isinstance(found, dict):
        raise Unreadable("expected a JSON object")
    return found


def a_flag(value: object) -> bool:
    """True or false, as files write them."""
    if isinstance(value, bool):
        return value
    name = str(value).strip().lower()
    if name in {"true", "1", "1.0", "yes", "y", "t"}:
        return True
    if name in {"false", "0", "0.0", "no", "n", "f"}:
        return False
    raise Unreadable("expected true or false")


def _whole(value: object, low: int) -> int:
    number = float(a_number(value)) if isinstance(value, str | Decimal) else value
    return whole(number, low, INT32_MAX)


def _moment_of_text(written: str) -> int:
    if _EPOCH.fullmatch(written) and not _DAY.fullmatch(written):
        return moment(float(written) if "." in written else int(written))
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        expected = "expected a time such as 2026-03-01T12:00:00Z or a Unix epoch number"
        if WRITTEN.fullmatch(written):
            expected += ", or a column of dates that says whether they begin with the day or with the month"
        raise Unreadable(expected) from None
    return a_moment(at)


def _utf8(value: object) -> object:
    if isinstance(value, bytes):
        raise Unreadable("expected UTF-8")
    return value
