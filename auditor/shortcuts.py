"""What somebody may do next with the account or the event they are looking at, by their role."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from auditor.access_log import ACCOUNT, EVENT
from auditor.admin.formats import anchor, list_link
from auditor.commands.offers import title_of
from auditor.models import Finding
from auditor.permissions import may_command, may_oversee

_COMMANDS = ("deposit", "withdraw", "transfer", "place-hold", "freeze-account")
_FIELD_BY_COMMAND = {"transfer": "from_account_id"}


def shortcuts(request: HttpRequest, kind: str, subject_id: str) -> list[SafeString]:
    """Return links; what the viewer may not do has none."""
    links = []
    if kind == EVENT:
        links.append(_to("integrity-event", "Proof of inclusion", event=subject_id))
    if kind == EVENT and may_command(request):
        links.append(
            anchor(f"{reverse('admin:command', args=['reverse'])}?{urlencode({'event_id': subject_id})}", "Reverse")
        )
    if kind == ACCOUNT and may_command(request):
        for command_type in _COMMANDS:
            address = reverse("admin:command", args=[command_type])
            field = _FIELD_BY_COMMAND.get(command_type, "account_id")
            links.append(anchor(f"{address}?{urlencode({field: subject_id})}", title_of(command_type)))
    if kind in (ACCOUNT, EVENT) and may_oversee(request):
        if count := Finding.objects.filter(kind=kind, subject_id=subject_id).count():
            text = f"{count} finding{'' if count == 1 else 's'}"
            links.append(list_link("auditor_finding", text, kind=kind, subject_id=subject_id))
        links.append(_to("finding-new", "Add a finding", kind=kind, subject=subject_id))
    if may_oversee(request):
        links.append(list_link("auditor_accesslogentry", "Who looked", kind=kind, subject_id=subject_id))
    return links


def _to(page: str, text: str, **parameters: str) -> SafeString:
    return anchor(f"{reverse(f'admin:{page}')}?{urlencode(parameters)}", text)
