"""Findings: auditors mark events and accounts, every step is kept, and the ledger knows nothing of it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.db.models import ProtectedError
from django.test import Client

from auditor.findings.notes import opened_note
from auditor.findings.record import newest_step
from auditor.models import Finding, FindingChange
from chronicle.roles import Role
from ledger.domain.commands import Reverse
from ledger.domain.events import REVERSAL
from ledger.models import Event, JournalEntry
from projections.models import Account
from tests.ledger_world import table_sizes
from tests.portal_world import BAKERY, MILL, page, signed_in, town
from tests.read_world import submit

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


def further(browser: Client, finding: Finding, *, note: str, state: str, seen: str | None = None) -> Any:
    given = {"note": note, "state": state, "seen": str(newest_step(finding)) if seen is None else seen}
    return browser.post(f"/admin/findings/{finding.pk}/change/", given)


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
    assert further(colleague, finding, note="Asked the mill.", state="escalated").status_code == 302
    assert further(auditor, finding, note="Two sacks.", state="explained").status_code == 302
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
    assert "A note says what was found." in text(further(auditor, finding, note="", state="explained"))
    answer = further(auditor, finding, note="Written for an hour.", state="solved")
    assert "A state is one of open, explained, escalated." in text(answer)
    assert "Written for an hour.</textarea>" in answer.content.decode()
    assert FindingChange.objects.count() == 1
    assert auditor.get(f"/admin/findings/{finding.pk}/change/")["Location"] == page(Finding, "change", finding.pk)
    assert auditor.post("/admin/findings/999999/change/", {"note": "x", "state": "open"}).status_code == 404


def test_a_step_on_what_was_not_seen_is_not_added_and_its_note_is_not_lost(auditor: Client) -> None:
    mark(auditor)
    finding, colleague = Finding.objects.get(), signed_in(Role.AUDITOR)
    seen = str(newest_step(finding))
    assert further(colleague, finding, note="It is worse.", state="escalated").status_code == 302
    for unseen in (seen, "", "x"):
        answer = further(auditor, finding, note="All is well.", state="explained", seen=unseen)
        assert "Somebody took it further meanwhile" in text(answer)
        assert "It is worse." in text(answer)
        assert "All is well.</textarea>" in answer.content.decode()
    finding.refresh_from_db()
    assert (finding.state, FindingChange.objects.count()) == ("escalated", 2)
    # What it was shown with now is the newest step, so sending it again is an answer to that.
    (shown,) = re.findall(r'name="seen" value="(\d+)"', answer.content.decode())
    assert further(auditor, finding, note="All is well.", state="explained", seen=shown).status_code == 302


def test_of_two_steps_sent_at_once_one_is_added_and_the_finding_says_what_its_newest_step_says(auditor: Client) -> None:
    mark(auditor)
    finding = Finding.objects.get()
    seen, colleagues = str(newest_step(finding)), [signed_in(Role.AUDITOR) for _ in range(4)]
    states = ["escalated", "explained"] * 2

    def send(browser: Client, state: str) -> int:
        try:
            return int(further(browser, finding, note="At once", state=state, seen=seen).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(colleagues)) as threads:
        codes = list(threads.map(send, colleagues, states))
    assert sorted(codes) == [200, 200, 200, 302]
    finding.refresh_from_db()
    assert FindingChange.objects.count() == 2
    assert finding.state == FindingChange.objects.latest("pk").state == states[codes.index(302)]


def test_what_has_events_and_is_no_account_is_not_marked_as_one(auditor: Client) -> None:
    grinding = JournalEntry.objects.filter(aggregate_id=MILL, event_type="MoneyDeposited").latest("position")
    submit(Reverse("Twice", event_id=str(grinding.event_id)))
    subject = f"{REVERSAL}{grinding.command_id}"
    assert Event.objects.filter(aggregate_id=subject).exists()
    assert "There is no account" in text(mark(auditor, subject=subject))


def test_a_subject_is_recorded_as_it_is_looked_for(auditor: Client) -> None:
    event = Event.objects.filter(aggregate_id=MILL).first()
    assert event is not None
    assert mark(auditor, kind="event", subject=f"{{{str(event.pk).upper()}}}").status_code == 302
    assert Finding.objects.get().subject_id == str(event.pk)
    assert "1 finding Add a finding" in text(auditor.get(page(Event, "change", event.pk)))


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
