"""Money as the log holds it: integers of the currency's minor unit, without a binary fraction on the way."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from features.values import Unreadable

MAX_MINOR: Final = 10**14
"""Largest amount of one line; 90,000 of them still add up within int64."""

_NUMBER = re.compile(r"[+-]?\d{1,32}(\.\d{1,32})?([eE][+-]?\d{1,2})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_ONE = Decimal(1)

EXPONENTS: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""Decimal places of the currencies that do not have two (ISO 4217)."""


def decimal(value: object) -> Decimal:
    """An exact, finite number; a float counts as the shortest text that reads back as itself.

    Raises
    ------
    Unreadable
        What was expected and got; never the value itself.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise Unreadable(f"expected a decimal number, got {type(value).__name__}")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise Unreadable("expected a decimal number, such as 12.50")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise Unreadable("expected a finite number")
    return number


def minor_units(amount: Decimal, currency: str | None) -> int:
    """Amount in the minor unit of ``currency`` (two decimal places where it is unknown), half to even.

    Raises
    ------
    Unreadable
        Below zero, or more than ``MAX_MINOR``.
    """
    if amount < 0:
        raise Unreadable("expected an amount of at least 0")
    if amount > MAX_MINOR:
        raise Unreadable(f"expected an amount of at most {MAX_MINOR} minor units")
    minor = int(amount.scaleb(EXPONENTS.get(currency or "", 2)).quantize(_ONE, rounding=ROUND_HALF_EVEN))
    if minor > MAX_MINOR:
        raise Unreadable(f"expected an amount of at most {MAX_MINOR} minor units")
    return minor


def check_currency(code: str) -> str:
    """The code itself, when it has the form of ISO 4217.

    Raises
    ------
    Unreadable
        Anything but three capital letters.
    """
    if not _CURRENCY.fullmatch(code):
        raise Unreadable("expected a currency of three capital letters, such as EUR")
    return code
