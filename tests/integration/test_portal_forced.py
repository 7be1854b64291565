"""A reversal that is forced from the portal: by administrators, who are told what it means, and by nobody else."""

from __future__ import annotations

import pytest
from django.test import Client

from auditor.commands.draft import Draft
from chronicle.roles import Role
from tests.integration.test_portal_commands import asked, confirmed, signed_in_user, text
from tests.ledger_world import new_account, rows, scalar, table_sizes
from tests.portal_world import signed_in

pytestmark = pytest.mark.usefixtures("clean_stores")


def test_an_administrator_forces_a_reversal_and_is_told_what_that_means() -> None:
    account, operator = new_account(100), signed_in(Role.OPERATOR)
    event_id = str(scalar("SELECT event_id FROM events WHERE aggregate_id = %s AND version = 2", account))
    assert confirmed(operator, "withdraw", account_id=account, amount="10").status_code == 302
    administrator = signed_in(Role.ADMINISTRATOR)
    asked_for = {"event_id": event_id, "reason": "Court order 7"}
    assert "insufficient_funds" in text(confirmed(administrator, "reverse", **asked_for))
    shown = text(administrator.get(asked(administrator, "reverse", **asked_for, force="1")))
    assert "the event will say that it was forced" in shown
    assert "the event will say that it was forced" not in text(
        administrator.get(asked(administrator, "reverse", **asked_for))
    )
    answer = confirmed(administrator, "reverse", **asked_for, force="1")
    assert answer.status_code == 302
    assert "-10.00" in text(administrator.get(answer["Location"])).replace("−", "-")
    assert rows("SELECT data ->> 'is_forced' FROM events WHERE event_type = 'CommandReversed'") == [("true",)]


def test_an_operator_forces_nothing_from_the_form_nor_with_a_draft_of_better_days() -> None:
    account = new_account(100)
    event_id = str(scalar("SELECT event_id FROM events WHERE aggregate_id = %s AND version = 2", account))
    given = {"event_id": event_id, "reason": "Because", "force": "1"}
    operator = signed_in(Role.OPERATOR)
    assert 'name="force"' not in operator.get("/admin/commands/reverse/").content.decode()
    before = table_sizes()
    assert "forbidden" in text(operator.post("/admin/commands/reverse/", given))
    user = signed_in_user()
    demoted = Client()
    demoted.force_login(user)
    draft = Draft.new("reverse", {**given, "force": True}).signed_for(user)
    assert "forbidden" in text(demoted.post(f"/admin/commands/reverse/confirm/?draft={draft}"))
    assert table_sizes() == before
