"""Operations: administrators see where the projections are, rebuild one with progress, and retry what is parked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from auditor.jobs.start import register
from auditor.jobs.work import REBUILD
from auditor.models import Job
from chronicle.roles import Role
from projections.models import Account, ParkedEvent
from tests.api_world import new_user
from tests.portal_world import BAKERY, signed_in, town
from tests.read_world import assert_read_model_is_right, change_read_model, read_model
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")
OPERATIONS = "/admin/operations/"


@pytest.fixture
def administrator() -> Iterator[Client]:
    town()
    yield signed_in(Role.ADMINISTRATOR)
    change_read_model("DROP SCHEMA IF EXISTS previous_accounts CASCADE")


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())


def test_every_projection_is_shown_with_its_place_and_its_proof(administrator: Client) -> None:
    shown = text(administrator.get(OPERATIONS))
    for name in ("accounts", "transactions", "trial_balance"):
        assert re.search(rf"\b{name} Current 6 0 – [\d./ –]+(ms )?✓ 6 0 Rebuild", shown), name
    assert "None: every projection could apply every event." in shown


def test_a_projection_is_rebuilt_and_what_was_wrong_with_it_is_gone(administrator: Client) -> None:
    change_read_model(f"UPDATE accounts SET owner_name = 'Nobody' WHERE account_id = '{BAKERY}'")
    assert administrator.post(f"{OPERATIONS}rebuild/accounts/").status_code == 302
    wait_for(lambda: not Job.objects.get().is_running, "the end of a rebuild", 60.0)
    job = Job.objects.get()
    assert (job.state, job.subject, job.done, job.total, job.error) == ("done", "accounts", 6, 6, "")
    assert Account.objects.get(account_id=BAKERY).owner_name == "Bakery"
    assert_read_model_is_right()
    assert "accounts Done" in text(administrator.get(OPERATIONS))


def test_two_rebuilds_of_one_projection_are_refused_and_of_two_are_not(administrator: Client) -> None:
    register(REBUILD, new_user(Role.ADMINISTRATOR), subject="accounts")
    answer = administrator.post(f"{OPERATIONS}rebuild/accounts/", follow=True)
    assert "Not started: a rebuild is running already" in text(answer)
    assert "data-job=" in answer.content.decode()
    register(REBUILD, new_user(Role.ADMINISTRATOR), subject="transfers")


def test_parked_events_are_shown_with_their_reason_and_tried_again(administrator: Client) -> None:
    change_read_model(
        f"DELETE FROM accounts WHERE account_id = '{BAKERY}'",
        "INSERT INTO parked_events (projection, position, event_id, aggregate_id, event_type, command_id, is_cause,"
        f" reason, attempts, parked_at) VALUES ('accounts', 1, gen_random_uuid(), '{BAKERY}', 'AccountCreated',"
        " gen_random_uuid(), true, 'DataError: out of range', 3, now())",
    )
    page = administrator.get(OPERATIONS)
    shown = text(page)
    assert "accounts : 1 event waits" in shown
    assert f"1 AccountCreated {BAKERY} DataError: out of range 3" in shown
    fields = dict(
        re.findall(r'type="hidden" name="(action|_selected_action|index)" value="([^"]+)"', page.content.decode())
    )
    answer = administrator.post("/admin/projections/parkedevent/", fields, follow=True)
    assert "accounts: 1 applied, 0 still parked" in text(answer)
    assert not ParkedEvent.objects.exists()
    assert read_model("SELECT count(*) FROM accounts") == [(2,)]


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPERATOR])
def test_operations_are_for_administrators(role: Role) -> None:
    browser = signed_in(role)
    assert browser.get(OPERATIONS).status_code == 403
    assert browser.post(f"{OPERATIONS}rebuild/accounts/").status_code == 403
    assert not Job.objects.exists()
    assert OPERATIONS not in browser.get("/admin/").content.decode()


def test_what_is_no_projection_is_not_rebuilt(administrator: Client) -> None:
    assert administrator.post(f"{OPERATIONS}rebuild/nothing/").status_code == 404
    assert administrator.get(f"{OPERATIONS}rebuild/accounts/").status_code == 405
