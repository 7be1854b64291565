"""Numbers in the portal's templates: grouped, and a dash for what is not known."""

from __future__ import annotations

from django import template
from django.contrib.admin.utils import quote

register = template.Library()
UNKNOWN = "–"
SECOND_MS, MINUTE_MS = 1_000, 60_000


@register.filter
def figure(number: int | float | None) -> str:
    """Return 12345.0 as 12,345 and 0.5 as 0.5."""
    if not isinstance(number, int | float):  # a variable that the template was not given is an empty string
        return UNKNOWN
    return f"{int(number):,}" if number == int(number) else f"{number:,.1f}"


@register.filter
def duration_number(milliseconds: int | None) -> str:
    """Return the number of a duration; its unit is `duration_unit`. static/ledger/format.js does the same."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < SECOND_MS:
        return figure(milliseconds)
    return f"{milliseconds / (SECOND_MS if milliseconds < MINUTE_MS else MINUTE_MS):.1f}"


@register.filter
def duration_unit(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return "ms" if milliseconds < SECOND_MS else "s" if milliseconds < MINUTE_MS else "min"


@register.filter
def hex(value: bytes) -> str:  # noqa: A001 (the filter's name in templates)
    """Return bytes as hexadecimal digits."""
    return bytes(value).hex()


@register.filter
def admin_key(value: object) -> str:
    """Return a key as the admin spells it in addresses."""
    return str(quote(str(value)))


@register.filter
def money(amount_minor: object, currency: str) -> str:
    """Return an amount of minor units as the portal's tables show it; a dash for an event that has none."""
    from auditor.admin import formats  # the admin's own modules read the tag libraries while they are imported

    return formats.money(amount_minor, currency) if isinstance(amount_minor, int) else UNKNOWN


@register.filter
def percentiles(milliseconds: tuple[float, ...] | None) -> str:
    """Return (3.14, 7.9, 12.0) as 3.1 / 7.9 / 12.0 ms. static/ledger/format.js does the same."""
    return f"{' / '.join(f'{value:,.1f}' for value in milliseconds)} ms" if milliseconds else UNKNOWN
