"""Amounts: exact, bounded, and refused rather than rounded."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ledger.domain.errors import (
    AmountNotPositive,
    AmountTooLarge,
    InvalidAmount,
    LedgerError,
    TooManyDecimals,
    UnknownCurrency,
)
from ledger.domain.money import AMOUNT_MINOR_MAX, format_minor, parse_amount, to_minor


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "USD", 1250),
        ("12.5000", "USD", 1250),
        ("0.01", "USD", 1),
        ("7", "JPY", 7),
        ("7.0", "JPY", 7),
        ("1.234", "BHD", 1234),
        ("90071992547409.91", "USD", AMOUNT_MINOR_MAX),
        ("00012", "USD", 1200),
        ("12.5" + "0" * 50, "USD", 1250),
    ],
)
def test_an_amount_becomes_exact_minor_units(text: str, currency: str, minor: int) -> None:
    assert to_minor(parse_amount(text), currency) == minor


@pytest.mark.parametrize("value", [5, Decimal("5.00"), Decimal("5E0"), Decimal("0.5E1"), "5", "5.0"])
def test_the_same_amount_written_differently_is_the_same(value: object) -> None:
    assert to_minor(parse_amount(value), "USD") == 500


@pytest.mark.parametrize(
    "value", [1.5, True, None, [], {}, "", " 1", "1 ", "+1", "1e3", "0x10", "1_000", "1,5", "٣", ".5", "5.",
              Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"), "NaN", "Infinity", "1\x00"],
)  # fmt: skip
def test_what_is_no_plain_decimal_is_refused(value: object) -> None:
    with pytest.raises(InvalidAmount):
        parse_amount(value)


@pytest.mark.parametrize(
    ("value", "currency", "error"),
    [
        ("1", "ZZZ", UnknownCurrency),
        ("0", "USD", AmountNotPositive),
        ("-0.001", "USD", AmountNotPositive),
        ("-1", "USD", AmountNotPositive),
        ("90071992547409.92", "USD", AmountTooLarge),
        ("9007199254740993", "JPY", AmountTooLarge),
        ("1" + "0" * 30, "USD", AmountTooLarge),
        ("1" + "0" * 80, "USD", AmountTooLarge),
        (Decimal("1E+400000"), "USD", AmountTooLarge),
        ("0.001", "USD", TooManyDecimals),
        ("0.5", "JPY", TooManyDecimals),
        ("0.00010", "BHD", TooManyDecimals),
        (Decimal("1E-400000"), "USD", TooManyDecimals),
        (Decimal("1E-1999999999999999997"), "USD", TooManyDecimals),
        ("12.5" + "0" * 50 + "1", "USD", TooManyDecimals),
        ("0.00000000000000000000000000000000000000001", "USD", TooManyDecimals),
    ],
)
def test_an_amount_that_does_not_fit_has_its_own_error(value: object, currency: str, error: type[LedgerError]) -> None:
    with pytest.raises(error):
        to_minor(parse_amount(value), currency)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(70000, "USD", "700.00"), (5, "USD", "0.05"), (-5, "USD", "-0.05"), (0, "BHD", "0.000"), (-1234, "JPY", "-1234")],
)
def test_minor_units_are_written_with_the_currencys_decimals(minor: int, currency: str, text: str) -> None:
    assert format_minor(minor, currency) == text
