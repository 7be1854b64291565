"""A transfer's page: its steps in order, what each event did, and how long it all took."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client

from ledger.domain.commands import CaptureHold, FailTransfer, PlaceHold, StartTransfer
from ledger.models import Event, JournalEntry
from projections.models import Transfer
from tests.past_world import applied, text
from tests.portal_world import BAKERY, MILL, accesses, page, town
from tests.read_world import submit


@pytest.fixture(scope="module")
def _town(clean_stores_for_module: None) -> None:
    town()
    submit(PlaceHold(BAKERY, Decimal(100), "Oven"))
    hold_id = str(Event.objects.get(event_type="FundsHeld").data["hold_id"])
    submit(CaptureHold(BAKERY, hold_id, Decimal(60), "Half an oven"))
    submit(StartTransfer(BAKERY, MILL, Decimal(10), "Sacks"))
    started = Event.objects.get(event_type="TransferStarted").data["transfer_id"]
    submit(FailTransfer(started, BAKERY, "account_frozen", "the mill is frozen"))
    applied()


pytestmark = pytest.mark.usefixtures("_town", "database")


def test_a_movement_is_one_step_of_two_events_that_happened_together(auditor: Client) -> None:
    transfer = Transfer.objects.get(description="Grinding")
    context = auditor.get(page(Transfer, "change", transfer.pk)).context
    (step,) = context["steps"]
    assert [event["part"] for event in step.events] == ["taken", "given"]
    assert (step.after_ms, step.is_compensation) == (None, False)
    entry = JournalEntry.objects.get(position=transfer.position)
    event = Event.objects.get(pk=entry.event_id)
    assert step.ordering_ms == round((entry.sequenced_at - event.recorded_at).total_seconds() * 1000)
    shown = text(auditor, page(Transfer, "change", transfer.pk))
    assert "all 2 events or none" in shown
    assert "−34.00 USD leaves 1,200.50 USD" in shown
    assert "+34.00 USD leaves 34.50 USD" in shown


def test_what_takes_several_commands_has_several_steps_and_the_time_between(auditor: Client) -> None:
    hold = Transfer.objects.get(kind="hold", description="Oven")
    context = auditor.get(page(Transfer, "change", hold.pk)).context
    assert [[event["part"] for event in step.events] for step in context["steps"]] == [["reserved"], ["taken"]]
    placed, captured = (
        Event.objects.get(event_type=name, data__hold_id=hold.pk).recorded_at for name in ("FundsHeld", "HoldCaptured")
    )
    assert context["steps"][1].after == captured - placed
    assert context["took_ms"] == round((captured - placed).total_seconds() * 1000)
    assert "moved 60.00 USD" in " ".join(text(auditor, page(Transfer, "change", hold.pk)).split())


def test_a_transfer_that_failed_shows_why_and_what_set_its_money_free(auditor: Client) -> None:
    failed = Transfer.objects.get(description="Sacks")
    context = auditor.get(page(Transfer, "change", failed.pk)).context
    assert [step.is_compensation for step in context["steps"]] == [False, True]
    assert [event["part"] for event in context["steps"][1].events] == ["set free", "failed"]
    shown = text(auditor, page(Transfer, "change", failed.pk))
    assert "It failed: the mill is frozen" in shown
    assert "compensation" in shown


def test_each_event_leads_to_itself_and_to_its_account_at_that_moment(auditor: Client) -> None:
    transfer = Transfer.objects.get(description="Grinding")
    shown = auditor.get(page(Transfer, "change", transfer.pk)).content.decode()
    events = Event.objects.filter(data__transfer_id=transfer.pk)
    assert len(events) == 2
    for event in events:
        assert f"/admin/ledger/event/{event.pk}/change/" in shown
        assert f"/admin/projections/account/{event.aggregate_id}/time-travel/?version={event.version}" in shown


def test_the_page_is_a_look_and_a_transfer_that_is_not_there_is_none(auditor: Client) -> None:
    before = len(accesses())
    transfer = Transfer.objects.get(description="Grinding")
    auditor.get(page(Transfer, "change", transfer.pk))
    assert "There is no transfer nothing" in text(auditor, page(Transfer, "change", "nothing"), status=404)
    assert [look[:2] for look in accesses()[before:]] == [("transfer", transfer.pk)]


def test_the_list_narrowed_to_an_account_has_its_transfers_with_their_state(auditor: Client) -> None:
    listed = auditor.get(page(Transfer, "changelist"), {"from_account_id": BAKERY, "to_account_id": MILL})
    assert [row.description for row in listed.context["cl"].result_list] == ["Sacks", "Grinding"]
    assert "completed" in listed.content.decode()
    assert auditor.post(page(Transfer, "change", "x")).status_code == 403
