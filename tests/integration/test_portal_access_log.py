"""Every look at an account, an event or a transfer is recorded, whichever door it came through."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import ProtectedError
from django.test import Client

from auditor import access_log
from auditor.models import AccessLogEntry
from chronicle.roles import Role
from ledger.models import Event, JournalEntry, Refusal
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
    auditor.get(page(Refusal, "change", Refusal.objects.get().pk))  # it says what the account had
    assert looks() == [*[("event", str(line.event_id))] * 3, ("transfer", transfer.pk), ("account", MILL)]


def test_a_search_is_a_look_at_what_it_finds_whatever_that_is(auditor: Client) -> None:
    line, transfer = Transaction.objects.first(), Transfer.objects.first()
    assert line is not None
    assert transfer is not None
    event = ("event", str(line.event_id))
    for model, term in (
        (Event, line.event_id), (Transaction, line.event_id), (Transaction, line.position),
        (JournalEntry, line.position), (Transfer, transfer.pk), (Event, "nobody"), (Transaction, 999_999),
    ):  # fmt: skip
        auditor.get(page(model, "changelist"), {"q": str(term)})
    auditor.get(page(Event, "changelist"), {"event_id__exact": str(line.event_id)})
    assert looks() == [*[event] * 4, ("transfer", transfer.pk), event]


def test_accounts_that_are_searched_for_are_looked_at_unless_they_are_more_than_a_page(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = page(Account, "changelist")
    auditor.get(accounts, {"account_id__exact": MILL})
    auditor.get(accounts, {"q": "baker"})
    auditor.get(accounts, {"q": "town."})
    assert looks() == [("account", id_) for id_ in (MILL, BAKERY, BAKERY, MILL)]
    monkeypatch.setattr(admin.site.get_model_admin(Account), "list_per_page", 1)
    auditor.get(accounts, {"q": "town."})
    assert len(looks()) == 4


def test_whoever_begins_in_the_middle_of_a_list_looks_all_the_same(auditor: Client) -> None:
    lines = page(Transaction, "changelist")
    for _ in range(2):
        auditor.get(lines, {"account_id": MILL, "after": "999"})
    assert looks() == [("account", MILL)]
    auditor.get(lines, {"account_id": MILL})
    auditor.get(lines, {"account_id": MILL, "after": "3"})
    assert looks() == [("account", MILL)] * 2


def test_a_list_that_is_taken_away_is_on_record_with_how_it_was_narrowed(auditor: Client) -> None:
    for narrowed in ("list=projections.account&currency=USD", f"list=statement&account_id={MILL}", "list=live"):
        export = auditor.post(f"/admin/exports/new/?{narrowed}", {"format": "csv"})["Location"]
        auditor.get(f"{export}file/").close()
    assert looks() == [("list", "projections.account"), ("account", MILL), ("list", "live")]
    assert accesses()[0][2].endswith("/file/?currency=USD")
    shown = auditor.get(page(AccessLogEntry, "changelist")).content.decode()
    assert f'href="{page(Account, "changelist")}?"' in shown


def test_an_account_that_is_a_transfer_in_steps_is_recorded_as_the_transfer() -> None:
    access_log.record(new_user(Role.AUDITOR), access_log.ACCOUNT, "transfer:t-1", "/here")
    assert looks() == [("transfer", "t-1")]


def test_the_looks_of_one_person_are_found_by_name_and_from_each_of_them(auditor: Client) -> None:
    curious, other = new_user(Role.AUDITOR), new_user(Role.AUDITOR)
    for user in (curious, other, curious):
        access_log.record(user, access_log.ACCOUNT, MILL, "/here")
    access_log.record(other, access_log.ACCOUNT, curious.username, "/an account that is called as a person")
    log = page(AccessLogEntry, "changelist")

    def found(**asked: str) -> list[str]:
        return [entry.path for entry in auditor.get(log, asked).context["cl"].result_list]

    assert found(q=MILL) == ["/here"] * 3
    assert found(q=other.username) == ["/an account that is called as a person", "/here"]
    assert found(q=curious.username) == ["/an account that is called as a person"]
    assert found(user=str(curious.pk)) == ["/here"] * 2
    assert f"?user={curious.pk}" in auditor.get(log, {"q": MILL}).content.decode()
    assert auditor.get(log, {"user": "nobody"}).status_code == 400


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
