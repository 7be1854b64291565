"""Query parameters: the same strictness as bodies, one error code, limits on everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from rest_framework.request import Request

from ledger.api import fields
from ledger.api.errors import InvalidInstant, InvalidParameter
from ledger.domain.errors import Malformed

T = TypeVar("T")
Handler = TypeVar("Handler", bound=Callable[..., Any])
PAGE_DEFAULT, PAGE_MAX = 100, 1_000
NUMBER_MAX = 2**63 - 1
TEXT_MAX = 200
_LOST_PLUS = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:\d\d)$", re.ASCII)


def known(*names: str) -> Callable[[Handler], Handler]:
    """Say which query parameters a handler has; one of which nothing is said has none."""

    def say(handler: Handler) -> Handler:
        handler.query_parameters = frozenset(names)  # type: ignore[attr-defined]
        return handler

    return say


def check_known(request: Request, handler: Callable[..., Any]) -> None:
    """Refuse a parameter that the handler does not have.

    **Why** it is not ignored: a filter that is misspelled would answer with everything, and a batch that was to be
    tried, by a parameter that it does not have, would be carried out. Raises: InvalidParameter.
    """
    names: frozenset[str] = getattr(handler, "query_parameters", frozenset())
    for name in _given(request):
        if name not in names:
            known_ones = ", ".join(sorted(names)) or "none"
            raise InvalidParameter(
                f"there is no such query parameter here; those are: {known_ones}", parameter=name[:64]
            )


def _given(request: Request) -> Mapping[str, str]:
    """Return the query parameters. A command mostly has none, and Django takes 10 µs to find none."""
    # Of Django's request: what DRF's has not got itself it finds out by an exception.
    return request.query_params if request._request.META.get("QUERY_STRING") else {}


def text(request: Request, name: str) -> str | None:
    """Return a text parameter; None when it is absent or empty."""
    value = _given(request).get(name)
    return _checked(name, lambda: fields.plain_text(value, TEXT_MAX, name)) if value else None


def number(request: Request, name: str, default: int, maximum: int = NUMBER_MAX, minimum: int = 0) -> int:
    value = request.query_params.get(name)
    if value is None or value == "":
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(NUMBER_MAX))):
        raise InvalidParameter(f"{name} is a whole number", parameter=name)
    if not minimum <= int(value) <= maximum:
        raise InvalidParameter(f"{name} is {minimum} to {maximum}", parameter=name, minimum=minimum, maximum=maximum)
    return int(value)


def limit(request: Request) -> int:
    return number(request, "limit", PAGE_DEFAULT, PAGE_MAX, minimum=1)


def instant(request: Request, name: str) -> datetime | None:
    """Return an instant; None when it is absent. What a `+` became on its way, a space, is taken for one."""
    value = request.query_params.get(name)
    if not value:
        return None
    return fields.instant(_LOST_PLUS.sub(r"\1+\2", value), name, truncate=True)


def required_instant(request: Request, name: str) -> datetime:
    value = instant(request, name)
    if value is None:
        raise InvalidInstant(f"{name} is missing: an RFC 3339 instant with an offset", field=name)
    return value


def choice(request: Request, name: str, allowed: tuple[str, ...]) -> str | None:
    value = text(request, name)
    if value is not None and value not in allowed:
        raise InvalidParameter(f"{name} is one of {', '.join(allowed)}", parameter=name)
    return value


def uuid_or_none(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def _checked(name: str, check: Callable[[], T]) -> T:
    try:
        return check()
    except Malformed as error:
        raise InvalidParameter(error.detail, parameter=name) from error
