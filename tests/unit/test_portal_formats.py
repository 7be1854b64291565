"""How the portal writes values: exact money, grouped figures, durations."""

from __future__ import annotations

import pytest

from auditor.admin.formats import grouped, money
from auditor.books import format_total
from auditor.templatetags.ledger import duration_number, duration_unit, figure


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (123450, "USD", "$1,234.50"),
        (0, "USD", "$0.00"),
        (-5, "USD", "−$0.05"),
        (1234, "JPY", "¥1,234"),
        (1000000, "BHD", "BHD\u00a01,000.000"),
        (725, "CHF", "CHF\u00a07.25"),
        (90_071_992_547_409_910_000, "USD", "$900,719,925,474,099,100.00"),
    ],
)
def test_totals_have_their_currencys_decimals_and_lose_no_digit(amount_minor: int, currency: str, text: str) -> None:
    assert format_total(amount_minor, currency) == text


@pytest.mark.parametrize(
    ("number", "text"), [("1234567.50", "1,234,567.50"), ("-1234", "-1,234"), ("-0.05", "-0.05"), ("12", "12")]
)
def test_thousands_are_set_apart(number: str, text: str) -> None:
    assert grouped(number) == text


def test_a_signed_amount_shows_its_direction() -> None:
    assert ">+1.00 <" in money(100, "USD", signed=True)
    assert ">−1.00 <" in money(-100, "USD", signed=True)
    assert ">1.00 <" in money(100, "USD")


@pytest.mark.parametrize(
    ("milliseconds", "text"), [(None, "– "), (0, "0 ms"), (999, "999 ms"), (1_500, "1.5 s"), (90_000, "1.5 min")]
)
def test_durations_have_the_unit_that_reads_best(milliseconds: int | None, text: str) -> None:
    assert f"{duration_number(milliseconds)} {duration_unit(milliseconds)}" == text


@pytest.mark.parametrize(("number", "text"), [(None, "–"), ("", "–"), (12345, "12,345"), (0.5, "0.5"), (400.0, "400")])
def test_figures_are_grouped_and_what_is_not_known_is_a_dash(number: int | float | None, text: str) -> None:
    assert figure(number) == text
