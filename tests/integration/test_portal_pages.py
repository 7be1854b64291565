"""What the portal's pages say: money, order, pages, search, links, and the numbers of the dashboard."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from auditor import status
from auditor.books import CachedBooks
from auditor.dashboard import alarms
from auditor.status import read_status
from chronicle.roles import Role
from ledger.domain.commands import Deposit
from ledger.models import Event, IdempotencyKey, JournalEntry, Refusal
from projections.models import Account, Posting, Transaction
from tests.portal_world import BAKERY, MILL, page, signed_in, town
from tests.read_world import change_read_model, order_everything, projector, submit, wait_until_applied


@pytest.fixture(scope="module")
def _town(clean_stores_for_module: None) -> None:
    town()


pytestmark = pytest.mark.usefixtures("_town", "database")


@pytest.fixture(autouse=True)
def _fresh_books(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums that the tests before have left may be of stores that are empty since."""
    monkeypatch.setattr(status, "BOOKS", CachedBooks())


@pytest.fixture
def admin() -> Client:
    return signed_in(Role.ADMINISTRATOR)


def text(client: Client, address: str) -> str:
    """Return a page's text without its tags, spaces folded."""
    answer = client.get(address)
    assert answer.status_code == 200, address
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())


def test_the_front_door_leads_to_the_dashboard(auditor: Client) -> None:
    assert auditor.get("/")["Location"] == "/admin/"


def test_the_dashboard_is_right_without_a_script(auditor: Client) -> None:
    front = text(auditor, "/admin/")
    assert "USD US Dollar $1,235.00 2 accounts" in front
    assert "Journal position 6 events, gapless from 1" in front
    assert "✓ Balanced every sum is zero" in front
    assert "Last verified – not from here yet" in front
    assert "0 events behind" in front


def test_an_account_shows_its_money_and_its_newest_transactions(auditor: Client) -> None:
    shown = text(auditor, page(Account, "change", BAKERY))
    assert "Balance 1,200.50 USD" in shown
    assert "transfer out town.mill Grinding −34.00 USD 1,200.50 USD" in shown
    answer = auditor.get(page(Account, "change", BAKERY)).content.decode()
    for link in (f"?account_id={BAKERY}", f"?aggregate_id={BAKERY}", "/admin/live/?aggregate_id="):
        assert link in answer


def test_an_event_leads_to_its_account_journal_entry_transfer_and_the_rest_of_its_command(auditor: Client) -> None:
    event = Event.objects.get(aggregate_id=MILL, data__amount_minor=3400)
    answer = auditor.get(page(Event, "change", event.pk)).content.decode()
    other = Event.objects.get(aggregate_id=BAKERY, data__amount_minor=3400)
    entry = JournalEntry.objects.get(event_id=event.pk)
    for address in (
        page(Account, "change", MILL),
        page(JournalEntry, "change", entry.pk),
        page(Event, "change", other.pk),
        f"/admin/projections/transfer/{event.data['transfer_id'].replace('_', '_5F')}/change/",
    ):
        assert address in answer
    assert bytes(event.hash).hex() in answer
    assert "&quot;balance_minor&quot;: 3450" in answer


def test_instants_have_their_microseconds_and_are_utc(auditor: Client) -> None:
    entry = JournalEntry.objects.get(position=1)
    assert f"{entry.sequenced_at:%Y-%m-%d %H:%M:%S} .{entry.sequenced_at:%f}" in text(
        auditor, page(JournalEntry, "change", 1)
    )


def test_every_rows_page_is_titled_as_a_person_would_call_it(auditor: Client) -> None:
    posting = Posting.objects.filter(account_id=BAKERY).order_by("posting_id").first()
    key = IdempotencyKey.objects.order_by("key").first()
    assert posting is not None
    assert key is not None
    assert auditor.get(page(Posting, "change", posting.pk)).context["title"] == "town.bakery 1234.50 USD"
    assert auditor.get(page(IdempotencyKey, "change", key.pk)).context["title"] == "tester/key-0"


def test_times_that_django_writes_are_in_utc_and_say_so() -> None:
    administrator = signed_in(Role.ADMINISTRATOR)
    joined = text(administrator, page(User, "change", User.objects.latest("pk").pk))
    assert re.search(r"Date joined [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} UTC", joined)


@pytest.mark.parametrize(
    ("term", "found"),
    [("bak", [BAKERY]), ("Mill", [MILL]), ("town.", [BAKERY, MILL]), ("%", []), ("nobody", [])],
)
def test_accounts_are_found_by_part_of_their_id_or_owner(auditor: Client, term: str, found: list[str]) -> None:
    answer = auditor.get(page(Account, "changelist"), {"q": term})
    assert [row.pk for row in answer.context["cl"].result_list] == found


def test_a_search_term_that_is_no_id_finds_nothing_and_breaks_nothing(auditor: Client) -> None:
    for model in (Event, JournalEntry, Transaction):
        answer = auditor.get(page(model, "changelist"), {"q": "no such thing ✂"})
        assert list(answer.context["cl"].result_list) == []


@pytest.mark.parametrize(
    "address", ["event/?q=%00", "event/?event_type__exact=%00", "event/?%00=1", "event/%00/change/", "refusal/?q=a%00b"]
)
def test_a_null_byte_is_a_bad_request(auditor: Client, address: str) -> None:
    assert auditor.get(f"/admin/ledger/{address}").status_code == 400


def test_lists_are_paged_by_key_in_order_without_counting_or_skipping(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditor.admin.base import ReadOnlyAdmin

    monkeypatch.setattr(ReadOnlyAdmin, "list_per_page", 2)
    for model, key in ((JournalEntry, "position"), (Event, "pk"), (Account, "pk"), (Refusal, "pk")):
        address, seen = page(model, "changelist"), []
        while address:
            alias = "read_model" if model is Account else "event_store"
            with CaptureQueriesContext(connections[alias]) as queries:
                listed = auditor.get(address).context["cl"]
                seen += [getattr(row, key) for row in listed.result_list]
            statements = " ".join(query["sql"] for query in queries).upper()
            assert "COUNT(" not in statements
            assert "OFFSET" not in statements
            address = page(model, "changelist") + listed.next_url if listed.next_url else ""
        assert len(seen) == len(set(seen)) == model._default_manager.count()
    assert seen  # the refusal


@pytest.mark.parametrize("after", ["x", "1,2", ","])
def test_a_page_key_that_means_nothing_is_refused_and_never_taken_for_the_first_page(
    auditor: Client, after: str
) -> None:
    answer = auditor.get(page(JournalEntry, "changelist"), {"after": after})
    assert answer.status_code == 400
    assert "Not shown: the list cannot be narrowed like that." in answer.content.decode()


@pytest.mark.parametrize(
    "narrowed",
    [
        "ledger/event/?event_type=MoneyDeposited", "ledger/event/?aggregate_id__regex=.*",
        "projections/transaction/?description__icontains=a", "projections/account/?owner_name=Mill",
        "auditor/finding/?note__contains=a", "projections/dailybalance/?day=2024-01-01",
        "projections/activity/?event_type=MoneyDeposited", "projections/searchentry/?text=Mill", "ledger/tile/?root=a",
    ],
)  # fmt: skip
def test_a_list_is_not_narrowed_by_what_no_index_leads_to(auditor: Client, narrowed: str) -> None:
    assert auditor.get(f"/admin/{narrowed}").status_code == 400
    table, _, query = narrowed.partition("/?")
    assert auditor.get(f"/admin/exports/new/?list={table.replace('/', '.')}&{query}").status_code in (400, 404)


def test_a_list_narrowed_to_an_account_has_its_rows_only(auditor: Client) -> None:
    listed = auditor.get(page(Transaction, "changelist"), {"account_id": MILL}).context["cl"].result_list
    assert {line.account_id for line in listed} == {MILL}
    by_type = auditor.get(page(JournalEntry, "changelist"), {"event_type": "AccountCreated"}).context["cl"].result_list
    assert [entry.event_type for entry in by_type] == ["AccountCreated"] * 2
    by_currency = auditor.get(page(Account, "changelist"), {"currency": "USD"}).context["cl"].result_list
    assert len(by_currency) == 2
    with CaptureQueriesContext(connections["event_store"]) as queries:
        auditor.get(page(JournalEntry, "changelist"), {"_facets": "True"})
    assert "COUNT(" not in " ".join(query["sql"] for query in queries).upper()


def test_every_answer_forbids_scripts_and_requests_from_elsewhere(auditor: Client) -> None:
    for address in ("/admin/", "/admin/live/", "/admin/login/"):
        answer = auditor.get(address)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self' 'unsafe-eval'" in policy
        assert "http" not in policy
        scripts = re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", answer.content.decode() if answer.content else "")
        assert all('type="application/json"' in script for script in scripts)


def test_the_live_page_begins_a_hundred_events_back_under_its_filter(auditor: Client) -> None:
    assert auditor.get("/admin/live/").context["after"] == 0
    wanted = auditor.get("/admin/live/", {"event_type": "MoneyDeposited", "aggregate_id": MILL}).context
    assert (wanted["given"]["event_type"], wanted["given"]["aggregate_id"]) == ("MoneyDeposited", MILL)
    assert wanted["after"] is not None
    narrowed = auditor.get("/admin/live/", {"aggregate_id": MILL, "text": "Flour"}).content.decode()
    assert (
        f'href="{page(JournalEntry, "changelist")}?aggregate_id={MILL}">journal</a>, which is not narrowed' in narrowed
    )
    refused = auditor.get("/admin/live/", {"event_type": "<script>"})
    assert refused.context["after"] is None
    assert "event_type is one of" in refused.content.decode()


def test_books_that_do_not_add_up_are_called_so() -> None:
    assert CachedBooks().read().is_balanced is True
    change_read_model(f"UPDATE accounts SET balance_minor = balance_minor + 1 WHERE account_id = '{MILL}'")
    assert CachedBooks().read().is_balanced is False
    change_read_model(f"UPDATE accounts SET balance_minor = balance_minor - 1 WHERE account_id = '{MILL}'")
    change_read_model("UPDATE checkpoints SET position = position - 1 WHERE projection = 'trial_balance'")
    assert CachedBooks().read().is_balanced is None
    change_read_model("UPDATE checkpoints SET position = position + 1 WHERE projection = 'trial_balance'")
    assert CachedBooks().read().is_balanced is True


def test_a_projection_that_stands_still_is_an_alarm_on_the_dashboard(auditor: Client) -> None:
    change_read_model("UPDATE checkpoints SET alarm = 'the chain is broken' WHERE projection = 'accounts'")
    try:
        assert "The projection accounts stands still: the chain is broken" in text(auditor, "/admin/")
        assert len(alarms(read_status())) == 1
    finally:
        change_read_model("UPDATE checkpoints SET alarm = '' WHERE projection = 'accounts'")


def test_the_status_says_when_the_read_model_is_behind() -> None:
    assert read_status().lag_events == 0
    submit(Deposit(MILL, Decimal(1)))
    order_everything()
    status = read_status()
    assert (status.lag_events, status.unavailable) == (1, [])
    assert status.lag_ms is not None
    assert status.lag_ms > 0
    with projector():
        wait_until_applied()
    assert read_status().lag_events == 0


def test_a_read_model_that_has_caught_up_is_not_as_late_as_the_last_event_of_its_catch_up_was(admin: Client) -> None:
    def told() -> set[int]:
        """Return the lag that each who shows it says."""
        printed = StringIO()
        call_command("show_projections", "--json", stdout=printed)
        measured = re.findall(r"^chronicle_projection_lag_ms\S+ (\S+)$", admin.get("/metrics").text, re.MULTILINE)
        shown = [read_status().lag_ms or 0, *(p["lag_ms"] for p in json.loads(printed.getvalue())["projections"])]
        assert len(measured) == len(shown) - 1
        return {*shown, *(int(float(lag_ms)) for lag_ms in measured)}

    took = "UPDATE checkpoints SET lag_ms = 180000, updated_at = clock_timestamp() - make_interval(secs => {})"
    change_read_model(took.format(0))
    assert told() == {180_000}
    change_read_model(took.format(6))
    assert told() == {0}
    submit(Deposit(MILL, Decimal(1)))
    order_everything()
    assert all(0 < lag_ms < 180_000 for lag_ms in told())
    with projector():
        wait_until_applied()
