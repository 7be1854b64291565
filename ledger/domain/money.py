"""Money: integers of a currency's minor units inside, decimal strings outside, never a binary float.

`parse_amount` reads what a caller sent; `to_minor` turns it into minor units once the account's currency
is known; `format_minor` writes it for people.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation

from ledger.domain.currencies import decimals_of
from ledger.domain.errors import AmountNotPositive, AmountTooLarge, InvalidAmount, TooManyDecimals

# The largest integer that every JSON reader keeps exactly (RFC 8785 section 3.2.2.3, RFC 7493 section 2.2):
# amounts and balances are hashed and proven as JSON numbers. In US dollars it is 90 trillion.
AMOUNT_MINOR_MAX = 2**53 - 1
_EXPONENT_MAX = len(str(AMOUNT_MINOR_MAX))
AMOUNT_DIGITS_MAX = 64  # longer than any amount below the maximum with any currency's decimals
# Shifts the point of any amount. The default context would round to 28 digits.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, InvalidOperation])
_PLAIN_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def parse_amount(value: object) -> Decimal:
    """Return the Decimal a caller wrote, as a string or a JSON number (int or Decimal).

    Raises: InvalidAmount for anything else, a float above all: it has already been rounded.
    """
    if isinstance(value, str):
        if len(value) > AMOUNT_DIGITS_MAX:
            if _PLAIN_DECIMAL.fullmatch(value):
                raise AmountTooLarge(f"an amount has at most {AMOUNT_DIGITS_MAX} characters")
            raise InvalidAmount("an amount is a plain decimal number")
        if not _PLAIN_DECIMAL.fullmatch(value):
            raise InvalidAmount("an amount is a plain decimal number such as 12.50", amount=value)
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise InvalidAmount("an amount is a decimal number or a string that holds one")
    amount = Decimal(value)
    if not amount.is_finite():
        raise InvalidAmount("an amount is a finite number")
    return amount


def to_minor(amount: Decimal, currency: str, *, zero_allowed: bool = False) -> int:
    """Return an amount in minor units of its currency.

    Raises: UnknownCurrency, AmountNotPositive, AmountTooLarge, TooManyDecimals, in this order.
    """
    decimals = decimals_of(currency)
    if amount < 0 or (amount == 0 and not zero_allowed):
        raise AmountNotPositive("an amount is greater than zero", amount=_short(amount))
    # Bounded by the exponent first: turning 1E+400000 into an integer would take all memory.
    if amount.adjusted() > _EXPONENT_MAX:
        raise AmountTooLarge("the amount is larger than this ledger can hold", amount_max=_max(currency))
    scaled = _EXACT.scaleb(amount, decimals)
    minor = int(scaled)
    if minor != scaled:
        raise TooManyDecimals(f"{currency} has {decimals} decimals", amount=_short(amount), decimals=decimals)
    if minor > AMOUNT_MINOR_MAX:
        raise AmountTooLarge("the amount is larger than this ledger can hold", amount_max=_max(currency))
    return minor


def format_minor(amount_minor: int, currency: str) -> str:
    """Return minor units as a decimal string with exactly the currency's decimals: 70000 USD → "700.00"."""
    decimals = decimals_of(currency)
    sign, digits = ("-", -amount_minor) if amount_minor < 0 else ("", amount_minor)
    if decimals == 0:
        return f"{sign}{digits}"
    whole, fraction = divmod(digits, 10**decimals)
    return f"{sign}{whole}.{fraction:0{decimals}d}"


def _max(currency: str) -> str:
    return format_minor(AMOUNT_MINOR_MAX, currency)


def _short(amount: Decimal) -> str:
    return str(amount)[:AMOUNT_DIGITS_MAX]
