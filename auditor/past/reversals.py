"""What was taken back: every reversal, newest first, with its reason, who asked for it, and whether it was forced.

Each reversal has one event of its own, on an aggregate named after the command that it reverses. An index leads to
those events; whether one was forced only a look tells, so a page looks at no more than LOOKED_AT_MAX of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join

from auditor import sql
from auditor.admin.formats import account_link, badge, instant, link, money
from auditor.pages import render
from auditor.past.frame import reads_the_stores
from ledger.domain.events import REVERSAL, CommandReversed
from ledger.store.connection import connection, translated
from ledger.store.recorded import event_id_of
from ledger.subjects.texts import open_all

LINES = 50
LOOKED_AT_MAX = 2_000  # some 20 ms
POSITION_MAX = 2**63 - 1


class ReversalsForm(forms.Form):
    """`forced`: only those that an administrator forced. `before`: the position of the last of the page before."""

    forced = forms.BooleanField(required=False)
    before = forms.IntegerField(required=False, min_value=1, max_value=POSITION_MAX)


@dataclass(frozen=True, slots=True)
class Reversed:
    """A reversal's own event with its place, in the order of `sql.REVERSALS`; `data` has its texts opened."""

    position: int
    first_position: int
    event_id: UUID
    aggregate_id: str
    data: dict[str, Any]
    metadata: dict[str, Any]
    recorded_at: datetime

    @property
    def reversed_command(self) -> UUID:
        return UUID(self.aggregate_id.removeprefix(REVERSAL))


@dataclass(frozen=True, slots=True)
class Page:
    """`searched_to`: how far the search for forced ones came, where there are more to look at."""

    found: list[Reversed]
    next_before: int | None
    searched_to: int | None


def read_reversals(*, is_forced: bool, before: int | None, limit: int = LINES) -> Page:
    """Return a page of reversals, newest first. Raises: StoreUnavailable, KeysUnavailable."""
    looked_at = LOOKED_AT_MAX if is_forced else limit
    with connection() as conn, translated():
        rows = conn.execute(
            sql.REVERSALS,
            {"event_type": CommandReversed.__name__, "before": before or POSITION_MAX, "limit": looked_at},
        ).fetchall()
    read = [Reversed(*row) for row in rows]
    found = [one for one in read if one.data["is_forced"] or not is_forced][:limit]
    opened = [replace(one, data=data) for one, data in zip(found, open_all([one.data for one in found]), strict=True)]
    if len(found) == limit:
        return Page(opened, found[-1].position, None)
    searched_to = read[-1].position if len(read) == looked_at else None
    return Page(opened, searched_to, searched_to)


def accounts_of(found: list[Reversed]) -> dict[int, list[str]]:
    """Return the accounts whose money each reversal moved, by its position: its events stand before it."""
    firsts, lasts = [one.first_position for one in found], [one.position for one in found]
    with connection() as conn, translated():
        rows = conn.execute(sql.REVERSED_ACCOUNTS, {"firsts": firsts, "lasts": lasts}).fetchall()
    accounts: dict[int, list[str]] = {}
    for position, account_id in rows:
        accounts.setdefault(position, []).append(account_id)
    return accounts


@reads_the_stores
def reversals(request: HttpRequest) -> HttpResponse:
    """List what was taken back, or only what was by force."""
    form = ReversalsForm(request.GET)
    wanted = form.cleaned_data if form.is_valid() else {}
    page = read_reversals(is_forced=bool(wanted.get("forced")), before=wanted.get("before"))
    accounts = accounts_of(page.found)
    forced = "forced=on&" if wanted.get("forced") else ""
    context: dict[str, Any] = {
        "form": form,
        "is_forced": bool(forced),
        "lines": [_line(one, accounts.get(one.position, [])) for one in page.found],
        "searched_to": page.searched_to,
        "looked_at_max": LOOKED_AT_MAX,
        "next_url": f"?{forced}before={page.next_before}" if page.next_before else "",
        "first_url": f"?{forced}" if wanted.get("before") else "",
    }
    return render(request, "auditor/reversals.html", "Reversals", **context)


def _line(one: Reversed, accounts: list[str]) -> dict[str, Any]:
    data = one.data
    is_part = data["amount_minor"] != data["original_minor"]
    return {
        "at": instant(one.recorded_at),
        "actor": one.metadata.get("actor", ""),
        "accounts": format_html_join(" ", "{}", ((account_link(account_id),) for account_id in accounts)),
        "amount": money(data["amount_minor"], data["currency"]),
        "original": money(data["original_minor"], data["currency"]) if is_part else None,
        "reason": data["reason"],
        "forced": badge("forced", "danger") if data["is_forced"] else "",
        "event": link("ledger_event_change", one.event_id, "Reversal"),
        "reversed": link("ledger_event_change", event_id_of(one.reversed_command, 0), "What it took back"),
    }
