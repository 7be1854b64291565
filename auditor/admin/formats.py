"""How values look on the portal's pages: money, instants, hashes, JSON, links.

Each function returns text that is safe to place in a page. The columns made here go into `list_display` and
`fieldsets` alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.apps import apps
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify

from ledger.domain.events import CLEARING, EXCHANGE, EXTERNAL, RESERVED_PREFIXES, TRANSFER
from ledger.domain.money import format_minor
from ledger.subjects.texts import open_within
from projections.money import MOVES_MONEY

ID_DIGITS_SHORT = 8
PLAIN_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
TONE_BY_STATUS = {
    "active": "good", "frozen": "warning", "closed": "plain", "completed": "good", "failed": "danger",
    "started": "warning", "reversed": "warning",
    "held": "warning", "captured": "good", "released": "plain", "expired": "plain",
}  # fmt: skip
OUTSIDE = (EXTERNAL, EXCHANGE, CLEARING)
Column = Callable[[Any], Any]
NOTHING = mark_safe('<span class="ledger-nothing">–</span>')
HASH_DIGITS_SHORT = 12  # enough to tell two apart at a glance; the whole one is in the title


def grouped(number: str) -> str:
    """Put commas between the thousands of a decimal string: 1234567.50 → 1,234,567.50."""
    whole, point, fraction = number.partition(".")
    return f"{int(whole):,}{point}{fraction}" if not whole.startswith("-0") else number


def in_commas(typed: str) -> str:
    """Return an amount as somebody typed it, with commas; what is no plain decimal stays as it is."""
    return grouped(typed) if PLAIN_DECIMAL.fullmatch(typed) else typed


def money(amount_minor: int, currency: str, *, signed: bool = False) -> SafeString:
    text = grouped(format_minor(int(amount_minor), currency))
    sign = "+" if signed and amount_minor > 0 else ""
    tone = "" if not signed else " ledger-in" if amount_minor > 0 else " ledger-out"
    return format_html(
        '<span class="ledger-money{}">{}{} <span class="ledger-currency">{}</span></span>',
        tone, sign, text.replace("-", "−"), currency,
    )  # fmt: skip


def event_money(event_type: str, data: Mapping[str, Any], state: Mapping[str, Any]) -> SafeString | None:
    """Return what an event is about, with the sign of what it did to the balance; None for one that has no amount."""
    amount_minor, currency = data.get("amount_minor"), data.get("currency") or state.get("currency")
    if amount_minor is None or not currency:
        return None
    rule = MOVES_MONEY.get(event_type)
    return money(amount_minor * rule.sign, currency, signed=True) if rule else money(amount_minor, currency)


def instant(value: datetime | None) -> SafeString:
    """Return an instant in UTC with its microseconds."""
    if value is None:
        return NOTHING
    value = value.astimezone(UTC)
    return format_html(
        '<time class="ledger-instant" datetime="{}">{} {}<span class="ledger-micros">.{}</span></time>',
        value.isoformat(), f"{value:%Y-%m-%d}", f"{value:%H:%M:%S}", f"{value.microsecond:06d}",
    )  # fmt: skip


def digest(value: bytes | memoryview, *, short: bool = False) -> SafeString:
    """Return a hash as hexadecimal digits."""
    digits = bytes(value).hex()
    if short:
        return format_html('<code class="ledger-hash" title="{}">{}…</code>', digits, digits[:HASH_DIGITS_SHORT])
    return format_html('<code class="ledger-hash">{}</code>', digits)


def preformatted(text: str) -> SafeString:
    return format_html('<pre class="ledger-json" tabindex="0">{}</pre>', text)


def pretty_json(value: Any) -> SafeString:
    return preformatted(json.dumps(value, indent=2, ensure_ascii=False))


def short_id(value: Any) -> SafeString:
    """Return the beginning of a uuid, the whole of it in the title."""
    return format_html('<span class="ledger-id" title="{}">{}…</span>', value, str(value)[:ID_DIGITS_SHORT])


def badge(text: str, tone: str = "plain") -> SafeString:
    return format_html('<span class="ledger-badge ledger-badge-{}">{}</span>', tone, text)


def status_badge(status: str) -> SafeString:
    return badge(status, TONE_BY_STATUS.get(status, "plain"))


def event_badge(event_type: str) -> SafeString:
    return badge(event_type, f"event {event_type}")


def anchor(url: str, text: Any) -> SafeString:
    return format_html('<a class="ledger-link" href="{}">{}</a>', url, text)


def link(page: str, key: Any, text: Any = None) -> SafeString:
    """Return a link to one row's page in the portal; `page` is such as `projections_account_change`."""
    return anchor(reverse(f"admin:{page}", args=[quote(key)]), key if text is None else text)


def list_link(model: str, text: str, **filters: Any) -> SafeString:
    """Return a link to a model's list, narrowed; `model` is such as `projections_account`."""
    return anchor(f"{reverse(f'admin:{model}_changelist')}?{urlencode(filters)}", text)


def list_title(label: str) -> str:
    """Return what people call a list, by its name in exports; one that is gone since keeps that name."""
    app_label, _, name = label.partition(".")
    if not name:
        return label.capitalize()  # of a page of its own
    try:
        return str(apps.get_model(app_label, name)._meta.verbose_name_plural).capitalize()
    except LookupError:
        return label


def live_link(aggregate_id: str) -> SafeString:
    return anchor(f"{reverse('admin:live')}?{urlencode({'aggregate_id': aggregate_id})}", "Live events")


def travel_url(account_id: str, version: int | None = None) -> str:
    """Return where an account's past is shown, at one of its versions if asked."""
    url = reverse("admin:time_travel", args=[quote(account_id)])
    return url if version is None else f"{url}?version={version}"


def account_link(account_id: str) -> SafeString:
    """Return a link to an account; the world outside has no page."""
    if not account_id or account_id.startswith(OUTSIDE):
        return format_html('<span class="ledger-subtle">{}</span>', account_id) if account_id else NOTHING
    return link("projections_account_change", account_id)


def aggregate_link(aggregate_id: str) -> SafeString:
    """Return a link to what an event is of: an account, a transfer in steps, or something that has no page."""
    if aggregate_id.startswith(TRANSFER):
        return link("projections_transfer_change", aggregate_id.removeprefix(TRANSFER), aggregate_id)
    return badge(aggregate_id) if aggregate_id.startswith(RESERVED_PREFIXES) else account_link(aggregate_id)


def column(description: str, show: Callable[[Any], Any], kind: str = "shown") -> Column:
    """Return a column for `list_display` and `fieldsets` that shows what a function makes of a row.

    `kind` is in the cell's class, `field-<kind>_…`, for the style sheet.
    """

    def cell(row: Model) -> Any:
        return show(row)

    cell.short_description = description  # type: ignore[attr-defined]
    # Not a field's own name: Django would show that field's help text beneath.
    cell.__name__ = f"{kind}_{slugify(description).replace('-', '_')}"
    return cell


def instant_column(field: str, description: str) -> Column:
    return column(description, lambda row: instant(getattr(row, field)))


def hash_column(field: str, description: str, *, short: bool = False) -> Column:
    return column(description, lambda row: digest(getattr(row, field), short=short))


def json_column(field: str, description: str) -> Column:
    """Return a column of JSON for people: the free texts of events and commands in it are opened."""
    return column(description, lambda row: pretty_json(open_within([getattr(row, field)])[0]))


def money_column(field: str, description: str, *, signed: bool = False) -> Column:
    return column(description, lambda row: money(getattr(row, field), row.currency, signed=signed), kind="money")
