from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.money import MAX_MINOR, check_currency, decimal, minor_units
from features.values import Unreadable


@given(st.integers(0, 10**12))
def test_cents_written_as_a_float_come_back_exactly(cents):
    assert minor_units(decimal(cents / 100), "EUR") == cents


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        (19.99, "EUR", 1999),
        (1.1, None, 110),
        ("0.07", "USD", 7),
        (1200, "JPY", 1200),
        ("1200.5", "JPY", 1200),
        ("1201.5", "JPY", 1202),
        ("1.234", "KWD", 1234),
        ("0.005", "EUR", 0),
        ("0.015", "EUR", 2),
        (1e-7, "EUR", 0),
        ("1e3", "EUR", 100_000),
        (0, "EUR", 0),
        (Decimal("3.10"), "EUR", 310),
    ],
)
def test_amounts_in_the_minor_unit_of_their_currency(amount, currency, minor):
    assert minor_units(decimal(amount), currency) == minor


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        "NaN",
        "Infinity",
        "1,5",
        "",
        " 1",
        "1_000",
        "٣",
        True,
        None,
        [],
        "0x10",
        Decimal("NaN"),
    ],
)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(Unreadable):
        decimal(value)


@pytest.mark.parametrize("amount", ["-0.01", str(MAX_MINOR), "1e99", str(10**31)])
def test_an_amount_that_would_spoil_a_sum_is_refused(amount):
    with pytest.raises(Unreadable):
        minor_units(decimal(amount), "EUR")


def test_the_largest_amount_is_admitted():
    assert minor_units(Decimal(MAX_MINOR) / 100, "EUR") == MAX_MINOR


@pytest.mark.parametrize("code", ["eur", "EU", "EURO", "€", "", "E1R", "ÉUR"])
def test_a_currency_is_three_capital_letters(code):
    assert check_currency("EUR") == "EUR"
    with pytest.raises(Unreadable):
        check_currency(code)
