"""Parked events are tried again from the portal, by administrators and by nobody else."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.test import Client

from chronicle.roles import Role
from projections import postings, transactions
from projections.models import ParkedEvent
from tests.poison_world import a_history_with_poison, parked, poisonous
from tests.portal_world import page, signed_in
from tests.read_world import assert_read_model_is_right, projector, wait_until_applied

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.fixture
def _parked() -> None:
    a_history_with_poison()
    with poisonous(transactions), poisonous(postings), projector():
        wait_until_applied()
    assert parked("transactions")
    assert parked("postings")


def retry(browser: Client, projection: str, **fields: Any) -> Any:
    """Choose one parked event of a projection and ask for the action, as the page's form does."""
    chosen = ParkedEvent.objects.filter(projection=projection).order_by("position").first()
    assert chosen is not None
    form = {"action": "retry_parked", "_selected_action": [chosen.pk], "index": "0", **fields}
    return browser.post(page(ParkedEvent, "changelist"), form)


@pytest.mark.usefixtures("_parked")
def test_an_administrator_tries_all_of_a_projection_again() -> None:
    administrator = signed_in(Role.ADMINISTRATOR)
    shown = administrator.get(page(ParkedEvent, "changelist")).content.decode()
    assert "Try again what is parked" in shown
    waiting = len(parked("transactions"))
    answer = retry(administrator, "transactions")
    assert answer.status_code == 302
    assert [str(message) for message in get_messages(answer.wsgi_request)] == [
        f"transactions: {waiting} applied, 0 still parked"
    ]
    assert parked("transactions") == []
    assert parked("postings"), "the other projection was not chosen"
    assert LogEntry.objects.get().change_message == f"transactions: {waiting} applied, 0 still parked"
    assert retry(administrator, "postings").status_code == 302
    assert_read_model_is_right()


@pytest.mark.usefixtures("_parked")
def test_what_is_not_mended_stays_parked_and_says_so() -> None:
    before = parked("transactions")
    with poisonous(transactions):
        answer = retry(signed_in(Role.ADMINISTRATOR), "transactions")
    assert f"{len(before)} still parked" in str(next(iter(get_messages(answer.wsgi_request))))
    assert parked("transactions") == before


@pytest.mark.usefixtures("_parked")
@pytest.mark.parametrize("role", [Role.AUDITOR, Role.OPERATOR])
def test_nobody_else_is_offered_it_or_may_do_it(role: Role) -> None:
    browser = signed_in(role)
    listed = browser.get(page(ParkedEvent, "changelist"))
    assert listed.status_code == 200
    assert "Try again what is parked" not in listed.content.decode()
    before = parked("transactions")
    assert retry(browser, "transactions").status_code == 403
    assert parked("transactions") == before


@pytest.mark.usefixtures("_parked")
def test_no_other_action_comes_through_with_it() -> None:
    administrator = signed_in(Role.ADMINISTRATOR)
    before = parked("transactions")
    assert retry(administrator, "transactions", action="delete_selected").status_code == 403
    assert Client().post(page(ParkedEvent, "changelist"), {"action": "retry_parked"}).status_code == 302
    assert parked("transactions") == before
