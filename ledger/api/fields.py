"""The forms of values in a request: each field checks one and raises the error with its own code.

The first error found is the answer; fields are checked in the order in which a serializer lists them. The
same classes describe themselves to the OpenAPI document.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

from drf_spectacular.drainage import set_override
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ledger.api.errors import InvalidCharacters, InvalidInstant, MissingField, TextTooLong
from ledger.domain.currencies import decimals_of
from ledger.domain.errors import AmountNotPositive, AmountTooLarge, InvalidAccountId, InvalidField, TooManyDecimals
from ledger.domain.events import RESERVED_PREFIXES
from ledger.domain.instants import parse_instant
from ledger.domain.money import AMOUNT_DIGITS_MAX, AMOUNT_MINOR_MAX, parse_amount

ACCOUNT_ID = r"[A-Za-z0-9._:\-]{1,64}"
_ACCOUNT_ID = re.compile(ACCOUNT_ID, re.ASCII)
# A path cannot hold them (RFC 3986 section 5.2.4), and the names of the outside world are not an account's.
_RESERVED = (".", "..")
# Control characters (Cc), surrogates, and the overrides that make a text read otherwise than it is (UTR 36).
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII)
_FRACTION_DIGITS_MAX = 6
ID_MAX = 64


def account_id(value: object, name: str = "account_id") -> str:
    """Return an account's id. Raises InvalidField, InvalidAccountId."""
    text = _string(value, name)
    if not _ACCOUNT_ID.fullmatch(text) or text in _RESERVED or text.startswith(RESERVED_PREFIXES):
        detail = (
            f"an account id is 1 to 64 of A-Z a-z 0-9 . _ : -, and does not begin with {' '.join(RESERVED_PREFIXES)}"
        )
        raise InvalidAccountId(detail, field=name)
    return text


def plain_text(value: object, length_max: int, name: str) -> str:
    """Return one line of text. Raises InvalidField, TextTooLong, InvalidCharacters."""
    text = _string(value, name)
    if len(text) > length_max:
        raise TextTooLong(f"{name} has at most {length_max} characters", field=name, length_max=length_max)
    if _UNFIT.search(text):
        raise InvalidCharacters(f"{name} holds a control character or half of a character", field=name)
    return text


def instant(value: object, name: str, *, truncate: bool = False) -> datetime:
    """Return an RFC 3339 instant. `truncate`: digits beyond microseconds are cut off rather than refused."""
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidInstant(f"{name} is an RFC 3339 instant with an offset, such as 2026-01-31T12:00:00Z", field=name)
    if not truncate and len(match[1] or "") > 1 + _FRACTION_DIGITS_MAX:
        raise InvalidInstant(f"{name} has more than {_FRACTION_DIGITS_MAX} decimals of a second", field=name)
    try:
        return parse_instant(match[0].upper())
    except (ValueError, OverflowError) as error:
        raise InvalidInstant(f"{name} is no instant of the calendar", field=name) from error


def _string(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidField(f"{name} is a string", field=name)
    return value


class StrictField(serializers.Field[Any, Any, Any, Any]):
    """A field that raises the ledger's errors, with the first failure, instead of collecting messages."""

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        if key == "required":
            raise MissingField(f"{self.field_name} is missing", field=self.field_name)
        raise InvalidField(f"{self.field_name} may be left out, but not null", field=self.field_name)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        # As Django REST Framework's, without what it does for fields that have validators, or a default that is called.
        return (
            super().run_validation(data) if data is serializers.empty or data is None else self.to_internal_value(data)
        )

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"type": "string", "pattern": f"^{ACCOUNT_ID}$", "example": "acc-1001"})
class AccountIdField(StrictField):
    def to_internal_value(self, data: object) -> str:
        return account_id(data, self.field_name or "")


@extend_schema_field({"type": "string", "pattern": f"^{ACCOUNT_ID}$", "example": "customer-17"})
class SubjectIdField(StrictField):
    """The id under which a person's accounts are erased together; spelled as an account's is, for it may be one."""

    def to_internal_value(self, data: object) -> str:
        text = _string(data, self.field_name or "")
        if not _ACCOUNT_ID.fullmatch(text):
            raise InvalidField("a subject's id is 1 to 64 of A-Z a-z 0-9 . _ : -", field=self.field_name)
        return text


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": 64})
class IdField(StrictField):
    """The id of something other than an account, as an earlier answer gave it."""

    def to_internal_value(self, data: object) -> str:
        text = plain_text(data, ID_MAX, self.field_name or "")
        if not text:
            raise InvalidField(f"{self.field_name} is not blank", field=self.field_name)
        return text


@extend_schema_field(OpenApiTypes.UUID)
class UuidField(StrictField):
    """The id of an event or a command, kept in its one spelling."""

    def to_internal_value(self, data: object) -> str:
        try:
            return str(UUID(_string(data, self.field_name or "")))
        except ValueError as error:
            raise InvalidField(f"{self.field_name} is a UUID", field=self.field_name) from error


@extend_schema_field(OpenApiTypes.BOOL)
class FlagField(StrictField):
    def to_internal_value(self, data: object) -> bool:
        if not isinstance(data, bool):
            raise InvalidField(f"{self.field_name} is true or false", field=self.field_name)
        return data


_AMOUNT_TEXT = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$", "maxLength": AMOUNT_DIGITS_MAX, "example": "12.50"}
_AMOUNT_NUMBER = {"type": "number", "minimum": 0, "maximum": AMOUNT_MINOR_MAX}


@extend_schema_field({"oneOf": [_AMOUNT_TEXT, _AMOUNT_NUMBER]})
class AmountField(StrictField):
    """A decimal string or number, kept as it was written; how many minor units it is depends on the account."""

    def __init__(self, *, is_zero_allowed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._is_zero_allowed = is_zero_allowed

    def to_internal_value(self, data: object) -> Decimal:
        amount = parse_amount(data)
        if amount < 0 or (amount == 0 and not self._is_zero_allowed):
            raise AmountNotPositive("an amount is greater than zero")
        if amount == 0:
            return Decimal(0)  # 0E+400000 is nothing, too
        # Bounded here, before anything turns it into an integer or a text: 1E+400000 is eight characters.
        if amount.adjusted() > AMOUNT_DIGITS_MAX:
            raise AmountTooLarge("the amount is larger than this ledger can hold")
        exponent = amount.as_tuple().exponent
        assert isinstance(exponent, int), "parse_amount lets only finite amounts pass"
        if exponent < -AMOUNT_DIGITS_MAX:
            raise TooManyDecimals("no currency has that many decimals")
        return amount


@extend_schema_field({"type": "string", "pattern": "^[A-Z][A-Z0-9]{2,9}$", "example": "USD"})
class CurrencyField(StrictField):
    def to_internal_value(self, data: object) -> str:
        code = _string(data, "currency")
        decimals_of(code)
        return code


class TextField(StrictField):
    def __init__(self, *, length_max: int, is_blank_allowed: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._length_max, self._is_blank_allowed = length_max, is_blank_allowed
        length_min = 0 if is_blank_allowed else 1
        set_override(self, "field", {"type": "string", "minLength": length_min, "maxLength": length_max})

    def to_internal_value(self, data: object) -> str:
        text = plain_text(data, self._length_max, self.field_name or "")
        if not self._is_blank_allowed and not text.strip():
            raise InvalidField(f"{self.field_name} is not blank", field=self.field_name)
        return text


@extend_schema_field({"type": "integer", "minimum": 0, "maximum": AMOUNT_MINOR_MAX})
class VersionField(StrictField):
    def to_internal_value(self, data: object) -> int:
        if isinstance(data, bool) or not isinstance(data, int) or not 0 <= data <= AMOUNT_MINOR_MAX:
            raise InvalidField(f"{self.field_name} is a whole number from 0", field=self.field_name)
        return data


@extend_schema_field(OpenApiTypes.DATETIME)
class InstantField(StrictField):
    def to_internal_value(self, data: object) -> datetime:
        return instant(data, self.field_name or "")
