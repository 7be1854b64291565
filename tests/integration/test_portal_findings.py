"""Findings: auditors mark events and accounts, every step is kept, and the ledger knows nothing of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db.models import ProtectedError
from django.test import Client

from auditor.findings.notes import opened_note
from auditor.models import Finding, FindingChange
from chronicle.roles import Role
from ledger.models import Event
from projections.models import Account
from tests.ledger_world import table_sizes
from tests.portal_world import BAKERY, MILL, page, signed_in, town

pytestmark = pytest.mark.usefixtures("clean_stores")
NEW = "/admin/findings/new/"


@pytest.fixture
def auditor() -> Client:
    town()
    return signed_in(Role.AUDITOR)


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())


def mark(browser: Client, **given: str) -> Any:
    return browser.post(NEW, {"kind": "account", "subject": BAKERY, "note": "Odd", "state": "open", **given})


def test_an_account_and_an_event_are_marked_and_lead_to_their_findings(auditor: Client) -> None:
    before = table_sizes()
    event = Event.objects.filter(aggregate_id=MILL).first()
    assert event is not None
    assert mark(auditor, note="Paid twice?").status_code == 302
    assert mark(auditor, kind="event", subject=str(event.pk), state="escalated").status_code == 302
    assert "1 finding Add a finding" in text(auditor.get(page(Account, "change", BAKERY)))
    assert "1 finding Add a finding" in text(auditor.get(page(Event, "change", event.pk)))
    listed = text(auditor.get(page(Finding, "changelist")))
    assert "Escalated event" in listed
    assert "Open account town.bakery Paid twice?" in listed
    assert "Paid twice?" not in text(auditor.get(page(Finding, "changelist"), {"state": "escalated"}))
    assert table_sizes() == before


def test_every_step_of_a_finding_is_kept(auditor: Client) -> None:
    mark(auditor, note="Paid twice?")
    finding = Finding.objects.get()
    colleague = signed_in(Role.AUDITOR)
    address = f"/admin/findings/{finding.pk}/change/"
    assert colleague.post(address, {"note": "Asked the mill.", "state": "escalated"}).status_code == 302
    assert auditor.post(address, {"note": "Two sacks.", "state": "explained"}).status_code == 302
    finding.refresh_from_db()
    assert (finding.state, opened_note(finding)) == ("explained", "Two sacks.")
    steps = [(step.state, opened_note(step)) for step in FindingChange.objects.all()]
    assert steps == [("open", "Paid twice?"), ("escalated", "Asked the mill."), ("explained", "Two sacks.")]
    shown = text(auditor.get(page(Finding, "change", finding.pk)))
    assert shown.index("Two sacks.") < shown.index("Asked the mill.") < shown.rindex("Paid twice?")
    assert len(set(FindingChange.objects.values_list("changed_by", flat=True))) == 2


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"note": "  "}, "A note says what was found."),
        ({"note": "x" * 4_001}, "A note has at most 4,000 characters."),
        ({"state": "solved"}, "A state is one of open, explained, escalated."),
        ({"subject": "nobody"}, "There is no account"),
        ({"kind": "event", "subject": "nobody"}, "There is no event"),
        ({"kind": "event", "subject": "00000000-0000-0000-0000-000000000000"}, "There is no event"),
        ({"kind": "transfer"}, "A finding is about an account or an event."),
    ],
)
def test_what_cannot_be_recorded_is_said_and_what_was_written_stays(
    auditor: Client, given: dict[str, str], problem: str
) -> None:
    answer = mark(auditor, **given)
    assert problem in text(answer)
    assert given.get("subject", BAKERY) in answer.content.decode()
    assert not Finding.objects.exists()


def test_an_invalid_step_changes_nothing(auditor: Client) -> None:
    mark(auditor)
    finding = Finding.objects.get()
    answer = auditor.post(f"/admin/findings/{finding.pk}/change/", {"note": "", "state": "explained"}, follow=True)
    assert "A note says what was found." in text(answer)
    assert FindingChange.objects.count() == 1
    assert auditor.post("/admin/findings/999999/change/", {"note": "x", "state": "open"}).status_code == 404


def test_operators_neither_see_nor_make_findings(auditor: Client) -> None:
    mark(auditor)
    operator, finding = signed_in(Role.OPERATOR), Finding.objects.get()
    assert mark(operator).status_code == 403
    assert operator.get(NEW).status_code == 403
    address = f"/admin/findings/{finding.pk}/change/"
    assert operator.post(address, {"note": "x", "state": "explained"}).status_code == 403
    assert "finding" not in text(operator.get(page(Account, "change", BAKERY))).lower()
    assert FindingChange.objects.count() == 1


def test_a_finding_outlives_whoever_made_it_and_is_deleted_by_nobody(auditor: Client) -> None:
    mark(auditor)
    finding = Finding.objects.get()
    with pytest.raises(ProtectedError):
        finding.opened_by.delete()
    with pytest.raises(ProtectedError):
        finding.delete()
    assert signed_in(is_superuser=True).post(page(Finding, "delete", finding.pk), {"post": "yes"}).status_code == 403
