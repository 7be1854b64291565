"""Every look at an account, an event or a transfer is recorded, whichever door it came through."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db.models import ProtectedError
from django.test import Client

from auditor import access_log
from auditor.models import AccessLogEntry
from chronicle.roles import Role
from ledger.models import Event, JournalEntry
from projections.models import Account, Transaction, Transfer
from tests.api_world import client_with, get, new_user
from tests.portal_world import BAKERY, MILL, accesses, page, signed_in, town

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.fixture
def auditor() -> Iterator[Client]:
    town()
    return signed_in(Role.AUDITOR)


def looks() -> list[tuple[str, str]]:
    return [(kind, subject) for kind, subject, _ in accesses()]


def test_an_accounts_page_and_its_narrowed_lists_are_looks_at_it(auditor: Client) -> None:
    auditor.get(page(Account, "changelist"))
    assert looks() == []
    auditor.get(page(Account, "change", BAKERY))
    auditor.get(page(Transaction, "changelist"), {"account_id": MILL})
    auditor.get(page(Event, "changelist"), {"aggregate_id": MILL})
    auditor.get(page(JournalEntry, "changelist"), {"q": BAKERY})
    assert looks() == [("account", BAKERY), ("account", MILL), ("account", MILL), ("account", BAKERY)]
    assert accesses()[0][2] == page(Account, "change", BAKERY)


def test_rows_about_one_event_or_transfer_are_looks_at_it(auditor: Client) -> None:
    line, transfer = Transaction.objects.first(), Transfer.objects.first()
    assert line is not None
    assert transfer is not None
    auditor.get(page(Transaction, "change", line.pk))
    auditor.get(page(Event, "change", line.event_id))
    auditor.get(page(JournalEntry, "change", line.position))
    auditor.get(page(Transfer, "change", transfer.pk))
    assert looks() == [*[("event", str(line.event_id))] * 3, ("transfer", transfer.pk)]


def test_a_look_at_what_is_not_there_or_not_allowed_is_none(auditor: Client) -> None:
    auditor.get(page(Account, "change", "nobody"))
    Client().get(page(Account, "change", BAKERY))
    signed_in().get(page(Account, "change", BAKERY))
    assert looks() == []


def test_reads_of_the_api_are_looks_of_the_tokens_user(auditor: Client) -> None:
    caller = client_with(Role.AUDITOR)
    event = Event.objects.filter(aggregate_id=BAKERY).first()
    assert event is not None
    for path in (
        f"accounts/{BAKERY}",
        f"accounts/{MILL}/transactions",
        f"accounts/{MILL}/balance-at",
        f"events/{event.pk}",
    ):
        parameters = {"timestamp": "2100-01-01T00:00:00Z"} if path.endswith("balance-at") else {}
        assert get(caller, path, **parameters).status_code == 200, path
    assert get(caller, "events", aggregate_id=BAKERY).status_code == 200
    expected = [
        ("account", BAKERY),
        ("account", MILL),
        ("account", MILL),
        ("event", str(event.pk)),
        ("account", BAKERY),
    ]
    assert looks() == expected
    names = set(AccessLogEntry.objects.values_list("user__username", flat=True))
    assert names == {User.objects.latest("pk").username}
    assert all(re.match("/api/v1/", path) for _, _, path in accesses())


def test_calls_of_the_api_that_read_nothing_of_anybody_are_none(auditor: Client) -> None:
    caller = client_with(Role.AUDITOR)
    for path in ("accounts", "events", "trial-balance", "accounts/nobody"):
        get(caller, path)
    get(Client(), f"accounts/{BAKERY}")
    assert looks() == []


def test_whoever_has_looked_cannot_be_deleted() -> None:
    user = new_user(Role.AUDITOR)
    access_log.record(user, access_log.ACCOUNT, BAKERY, "/here")
    with pytest.raises(ProtectedError):
        user.delete()


def test_a_name_that_is_too_long_is_recorded_as_far_as_it_goes() -> None:
    access_log.record(new_user(Role.AUDITOR), access_log.ACCOUNT, "x" * 500, "/" * 5_000)
    ((_, subject, path),) = accesses()
    assert (len(subject), len(path)) == (64, 500)
