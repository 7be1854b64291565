"""The pages /admin/commands/…: choose, fill in, confirm, and see it arrive.

Nothing is executed without a confirmation, and what is confirmed carries an idempotency key: sent twice, by a
double click or from a page that was come back to, it takes effect once and is answered the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_http_methods, require_safe

from auditor import access_log
from auditor.admin.formats import in_commas
from auditor.commands import legs, offers
from auditor.commands.draft import Draft, InvalidDraft, opened
from auditor.commands.result import result_of
from auditor.pages import only, render
from auditor.permissions import may_command, roles_in
from ledger.api.problems import RETRY_AFTER_S
from ledger.api.submissions import FORMS, submission_of
from ledger.domain import currencies
from ledger.engine import batching
from ledger.engine.submission import Accepted, Rejected
from ledger.errors import LedgerError
from projections import selectors
from projections.models import Account

_ACCOUNT_FIELDS = ("account_id", "from_account_id", "to_account_id")
_AMOUNT_FIELDS = ("amount", "to_amount", "limit", "initial_balance")
Problems = Mapping[str, LedgerError]


@only(may_command)
@require_safe
def choose(request: HttpRequest) -> HttpResponse:
    """List the commands there are."""
    listed = [(type_, icon, offers.title_of(type_), offers.meaning_of(type_)) for type_, icon in offers.OFFERS.items()]
    return render(request, "auditor/commands.html", "Commands", offers=listed)


@only(may_command)
@require_http_methods(["GET", "HEAD", "POST"])
def command(request: HttpRequest, command_type: str) -> HttpResponse:
    """Fill a command in. What is well-formed goes on to the confirmation; nothing is executed here."""
    if command_type not in offers.OFFERS:
        raise Http404
    if request.method == "POST":
        given = offers.given_by(command_type, request.POST)
        problems = offers.problems_of(command_type, given, roles_in(request))
        return _form(request, command_type, given, problems) if problems else _to_confirm(request, command_type, given)
    if "draft" in request.GET:
        try:
            draft = opened(request.GET["draft"], request.user, command_type)
        except InvalidDraft as error:
            return _invalid(request, command_type, error)
        return _form(request, command_type, draft.given, {})
    # An account's page leads here with its id.
    return _form(request, command_type, offers.given_by(command_type, request.GET), {})


@only(may_command)
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, command_type: str) -> HttpResponse:
    """Show what would be done, and do it when that is confirmed."""
    if command_type not in offers.OFFERS:
        raise Http404
    try:
        draft = opened(request.GET.get("draft", ""), request.user, command_type)
    except InvalidDraft as error:
        return _invalid(request, command_type, error)
    return _execute(request, draft) if request.method == "POST" else _confirmation(request, draft)


def _to_confirm(request: HttpRequest, command_type: str, given: offers.Given) -> HttpResponse:
    draft = Draft.new(command_type, given).signed_for(request.user)
    return redirect(f"{reverse('admin:command-confirm', args=[command_type])}?{urlencode({'draft': draft})}")


def _form(request: HttpRequest, command_type: str, given: offers.Given, problems: Problems) -> HttpResponse:
    context: dict[str, Any] = {
        "command_type": command_type,
        "meaning": offers.meaning_of(command_type),
        "inputs": offers.inputs(command_type, given, problems, roles_in(request)),
        "whole": problems.get(""),
        "has_sides": bool(offers.sides_of(command_type)),
        "lines_max": legs.LINES_MAX,
    }
    # With 200, as Django's own forms: it is a page for a person, and says what is wrong itself.
    return render(request, "auditor/command_form.html", offers.title_of(command_type), **context)


def _confirmation(request: HttpRequest, draft: Draft, problem: LedgerError | None = None) -> HttpResponse:
    rows = {
        name: _account(request, draft.given[name])
        for name in _ACCOUNT_FIELDS
        if name in draft.given and draft.command_type != "create-account"
    }
    shown = {name: _amount(draft.given[name], rows, name) for name in _AMOUNT_FIELDS if name in draft.given}
    sides = offers.sides_of(draft.command_type)
    lines = {
        name: [
            (leg["account_id"], in_commas(leg["amount"]), _account(request, leg["account_id"]))
            for leg in draft.given[name]
        ]
        for name in sides
    }
    others = [*sides, *offers.flags_of(draft.command_type)]
    context: dict[str, Any] = {
        "command_type": draft.command_type,
        "meaning": offers.meaning_of(draft.command_type),
        "values": [
            (name, offers.label_of(name), shown.get(name, text))
            for name, text in draft.given.items()
            if name not in others
        ],
        "is_forced": bool(draft.given.get("force")),
        "sides": [(name, offers.label_of(name), lines[name]) for name in sides],
        "accounts": [(offers.label_of(name), draft.given[name], row) for name, row in rows.items()],
        "draft": request.GET["draft"],
        "problem": problem,
    }
    return render(request, "auditor/command_confirm.html", f"{offers.title_of(draft.command_type)}: confirm", **context)


def _amount(text: str, rows: Mapping[str, Account | None], name: str) -> str:
    """Return an amount as it was typed, with its commas and its account's currency: what is confirmed is read once."""
    fields = ("to_account_id",) if name == "to_amount" else ("account_id", "from_account_id")
    row = next((rows[field] for field in fields if rows.get(field)), None)
    return f"{in_commas(text)} {row.currency}" if row else in_commas(text)


def _account(request: HttpRequest, account_id: str) -> Account | None:
    """Return an account as the read model has it, which is a look at it."""
    access_log.record(request.user, access_log.ACCOUNT, account_id, request.path)
    return selectors.account(account_id).row


def _invalid(request: HttpRequest, command_type: str, error: InvalidDraft) -> HttpResponse:
    problem = f"This confirmation cannot be used: {error}. Fill the form in again."
    back = reverse("admin:command", args=[command_type])
    return render(request, "auditor/problem.html", offers.title_of(command_type), 400, problem=problem, back=back)


def _execute(request: HttpRequest, draft: Draft) -> HttpResponse:
    try:
        actor = request.user.get_username()
        submission = submission_of(draft.command_type, dict(draft.given), actor, draft.key, roles_in(request))
        outcome = batching.submit_sync(submission)
    except LedgerError as error:
        outcome = Rejected(error)
    if isinstance(outcome, Accepted):
        address = reverse("admin:command-result", args=[outcome.command_id])
        return redirect(f"{address}?again=1" if outcome.replayed else address)
    refusal = outcome.error
    if refusal.status >= 500:
        # Under the same key, so that trying again cannot do it twice, whatever became of the first attempt.
        return _put_off(_confirmation(request, draft, refusal), refusal)
    field = offers.field_of(refusal, draft.given, draft.command_type)
    return _form(request, draft.command_type, draft.given, {field: refusal})


def _put_off(page: HttpResponse, error: LedgerError) -> HttpResponse:
    """Give a page the status that the API would have answered with: nobody has decided, and a program may see it."""
    page.status_code = error.status
    if error.retryable:
        page["Retry-After"] = str(RETRY_AFTER_S)
    return page


@only(may_command)
@require_safe
def result(request: HttpRequest, command_id: UUID) -> HttpResponse:
    """Show the events of an accepted command, and their arrival in the stream."""
    found = result_of(command_id)
    if found is None:
        raise Http404
    for event, _ in found.events:
        access_log.record(request.user, access_log.EVENT, str(event.event_id), request.path)
    context: dict[str, Any] = {
        "result": found,
        "was_done_before": "again" in request.GET,
        "is_offered": found.command_type in offers.OFFERS and found.command_type in FORMS,
        "decimals": {code: currencies.decimals_of(code) for code in currencies.codes()},
    }
    return render(request, "auditor/command_result.html", f"{offers.title_of(found.command_type)}: done", **context)


def urls(wrap: Any) -> list[URLPattern]:
    return [
        path("commands/", wrap(choose), name="commands"),
        path("commands/result/<uuid:command_id>/", wrap(result), name="command-result"),
        path("commands/<slug:command_type>/", wrap(command), name="command"),
        path("commands/<slug:command_type>/confirm/", wrap(confirm), name="command-confirm"),
    ]
