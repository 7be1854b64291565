"""Questions that an auditor comes with, each answered by following links and filling in a field: never by SQL."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from auditor.admin import keyset
from auditor.past import reversals
from chronicle.roles import Role
from ledger.domain.commands import CreateAccount, Deposit, Reverse, StartTransfer, Withdraw
from ledger.engine.execute import execute
from ledger.engine.submission import Submission
from ledger.models import Event, JournalEntry, Refusal
from projections.models import Transaction, Transfer
from tests.api_world import new_user
from tests.integration.test_portal_exports import whole
from tests.past_world import account_page, applied, text
from tests.portal_world import BAKERY, MILL, accesses, page, signed_in, town
from tests.read_world import submit

SISTER = "town.bakery.sister"  # of the bakery's owner


def _reversed(description: str, reason: str, *, force: bool) -> None:
    line = Transaction.objects.get(description=description)
    execute([Submission(Reverse(reason, str(line.event_id), force=force), actor="the administrator")])


@pytest.fixture(scope="module")
def _town(clean_stores_for_module: None) -> None:
    town()
    submit(CreateAccount(SISTER, "Bakery", "EUR", Decimal(7)), CreateAccount("bakery-2", "Bakery & Co", "EUR"))
    submit(Deposit(MILL, Decimal(3), "Paid twice"), Deposit(BAKERY, Decimal(4), "By mistake"))
    submit(Withdraw(MILL, Decimal(600), "A wheel"), Withdraw(MILL, Decimal(40), "A sieve"))
    submit(StartTransfer(BAKERY, MILL, Decimal(10), "Sacks"))
    applied()
    _reversed("Paid twice", "It was paid twice", force=False)
    _reversed("By mistake", "Court order 7", force=True)
    applied()


pytestmark = pytest.mark.usefixtures("_town", "database")


def links(browser: Client, address: str, **parameters: Any) -> dict[str, str]:
    """Return where the links of a page lead, by what they say."""
    content = browser.get(address, parameters).content.decode()
    return {
        " ".join(re.sub("<[^>]*>", "", said).split()): html.unescape(to)
        for to, said in re.findall(r'<a[^>]*href="([^"]*)"[^>]*>(.*?)</a>', content, re.DOTALL)
    }


def exported(browser: Client, address: str) -> list[dict[str, str]]:
    """Follow a page's Export link, ask for CSV, and return the rows of the file."""
    asked = browser.post(links(browser, address)["Export"], {"format": "csv"})
    answer = browser.get(f"{asked['Location']}file/")
    content = async_to_sync(whole)(answer.streaming_content)
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_the_dashboard_names_the_questions_and_every_link_answers(auditor: Client) -> None:
    context = auditor.get("/admin/").context
    assert len(context["questions"]) == 10
    for question, address in context["questions"]:
        assert auditor.get(address).status_code == 200, question
    assert len(signed_in(Role.OPERATOR).get("/admin/").context["questions"]) == 8


def test_whatever_is_in_hand_is_found(auditor: Client) -> None:
    event = Event.objects.get(aggregate_id=MILL, version=1)
    transfer_id = Transfer.objects.get(description="Sacks").pk
    refusal = Refusal.objects.first()
    assert refusal is not None
    expected = {
        BAKERY: f"projections/account/{BAKERY}/change/",
        f" {MILL} ": f"projections/account/{MILL}/change/",
        str(event.pk): f"ledger/event/{event.pk}/change/",
        str(event.pk).upper(): f"ledger/event/{event.pk}/change/",
        str(refusal.pk): f"ledger/refusal/{refusal.pk}/change/",
        transfer_id: f"projections/transfer/{transfer_id}/change/",
        f"transfer:{transfer_id}": f"projections/transfer/{transfer_id}/change/",
        "2": "ledger/journalentry/2/change/",
        "999999": "projections/account/?q=999999",
        "ery & co": "projections/account/?q=ery+%26+co",
        "": "",
    }
    for named, leads_to in expected.items():
        answer = auditor.get("/admin/find/", {"q": named})
        assert answer["Location"] == f"/admin/{leads_to}", named
        assert auditor.get(answer["Location"]).status_code == 200, named
    assert "bakery-2" in text(auditor, "/admin/projections/account/", q="ery & co")


def test_an_accounts_page_says_who_changed_it_last_and_how(auditor: Client) -> None:
    shown = text(auditor, account_page(MILL))
    assert "MoneyWithdrawn −3.00 USD" in shown
    assert re.search(r"by the administrator What it changed", shown)
    step = auditor.get(links(auditor, account_page(MILL))["What it changed"]).context
    assert step["version"] == step["versions"]


def test_a_transfer_says_where_its_money_is(auditor: Client) -> None:
    expected = {
        "Sacks": "It is still with town.bakery , reserved there",
        "Grinding": "It has arrived at town.mill .",
    }
    for description, said in expected.items():
        transfer = Transfer.objects.get(description=description)
        assert said in text(auditor, page(Transfer, "change", transfer.pk))


def test_refused_withdrawals_over_an_amount_within_a_time(auditor: Client) -> None:
    address = page(Refusal, "changelist")
    day = Refusal.objects.filter(command_type="withdraw")[0].recorded_at.date()
    period = {"since": f"{day}", "until": f"{day + timedelta(days=2)}"}

    def amounts(**parameters: str) -> list[str]:
        shown = auditor.get(address, parameters).context["cl"].result_list
        return sorted(refusal.command["amount"] for refusal in shown)

    assert amounts(command_type="withdraw", **period) == ["40", "600"]
    assert amounts(command_type="withdraw", min_amount="500", **period) == ["600"]
    assert amounts(min_amount="600.01", code="insufficient_funds") == ["99999"]
    assert amounts(until=f"{day}") == []
    shown = text(auditor, address, command_type="withdraw", min_amount="500")
    assert "insufficient_funds withdraw town.mill 600" in shown
    (row,) = exported(auditor, f"{address}?command_type=withdraw&min_amount=500&since={day}")
    assert row["command_type"] == "withdraw"
    for bad in ({"since": "soon"}, {"min_amount": "-1"}, {"until": "9" * 30}, {"after": "x"}, {"q__regex": "."}):
        said = text(auditor, address, status=400, **bad)
        assert "Not shown:" in said, bad


def test_a_search_that_looks_at_each_row_says_how_far_it_came_and_goes_on(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "LOOKED_AT_MAX", 1)
    address, seen = page(Refusal, "changelist") + "?command_type=transfer", 0
    for _ in range(Refusal.objects.count()):
        listed = auditor.get(address).context["cl"]
        seen += len(listed.result_list)
        if not listed.next_url:
            break
        if not listed.result_list:
            assert "in the rows that were searched" in auditor.get(address).content.decode()
        address = page(Refusal, "changelist") + listed.next_url
    assert seen == Refusal.objects.filter(command_type="transfer").count() == 1


def test_every_forced_reversal_is_listed_with_its_reason(auditor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    both, forced = text(auditor, "/admin/reversals/"), text(auditor, "/admin/reversals/", forced="on")
    assert "the administrator town.mill 3.00 USD It was paid twice" in both
    assert "the administrator town.bakery 4.00 USD Court order 7 forced" in forced
    assert "paid twice" not in forced
    found = links(auditor, "/admin/reversals/", forced="on")
    for name in ("Reversal", "What it took back"):
        assert auditor.get(found[name]).status_code == 200
    (row,) = exported(auditor, "/admin/reversals/?forced=on")
    assert (row["reason"], row["is_forced"], row["accounts"], row["amount"]) == (
        "Court order 7",
        "true",
        BAKERY,
        "4.00",
    )
    assert len(exported(auditor, "/admin/reversals/")) == 2
    monkeypatch.setattr(reversals, "LOOKED_AT_MAX", 1)
    first = auditor.get("/admin/reversals/", {"forced": "on"}).context
    assert len(first["lines"]) == 1
    last = auditor.get(f"/admin/reversals/{first['next_url']}").context
    assert (last["lines"], last["searched_to"] is not None) == ([], True)


def test_all_movements_of_an_owner_in_a_period(auditor: Client) -> None:
    address = links(auditor, account_page(BAKERY))["All of this owner"]
    context = auditor.get(address).context
    assert [re.sub("<[^>]*>", "", row["account"]) for row in context["accounts"]] == [BAKERY, SISTER]
    own = Transaction.objects.filter(account_id__in=[BAKERY, SISTER])
    assert len(context["lines"]) == own.count() > 3
    assert accesses()[-2:] == [("account", BAKERY, address), ("account", SISTER, address)]
    before = len(accesses())
    auditor.get(f"{address}&before=3")
    assert len(accesses()) == before, "a further page belongs to the look that is going on"
    signed_in(Role.AUDITOR).get(f"{address}&before=3")
    assert len(accesses()) == before + 2, "and whoever begins with it has looked too"
    at = own.get(description="Grinding").recorded_at
    # Times in the address are in UTC, with their microseconds; the end of a period is not in it.
    since, until = (
        at.strftime("%Y-%m-%d %H:%M:%S.%f"),
        (at + timedelta(microseconds=1)).strftime("%Y-%m-%d %H:%M:%S.%f"),
    )
    narrowed = f"{address}&since={since}&until={until}"
    assert [line["description"] for line in auditor.get(narrowed).context["lines"]] == ["Grinding"]
    assert [row["description"] for row in exported(auditor, narrowed)] == ["Grinding"]
    assert len(exported(auditor, address)) == own.count()
    assert auditor.get(f"{address}&since={until}&until={since}").context["lines"] == []
    assert "Write an instant as" in text(auditor, f"{address}&since=soon")
    assert "There is no account nobody" in text(auditor, "/admin/owner/", status=404, account_id="nobody")


def test_who_else_looked_at_an_account_is_one_click_away(auditor: Client) -> None:
    other = signed_in(Role.OPERATOR)
    other.get(account_page(MILL))
    shown = links(auditor, account_page(MILL))["Who looked"]
    who = {entry.user_id for entry in auditor.get(shown).context["cl"].result_list}
    assert {int(other.session["_auth_user_id"]), int(auditor.session["_auth_user_id"])} <= who
    assert "Who looked" not in links(other, account_page(MILL))


def test_a_row_that_is_not_there_is_a_404_and_nobody_is_asked_whether_it_was_deleted(auditor: Client) -> None:
    for model, key in ((Event, "<b>nobody"), (Event, str(UUID(int=0))), (JournalEntry, "999999"), (Transaction, "x")):
        for name in ("change", "history"):
            answer = auditor.get(page(model, name, key))
            shown = answer.content.decode()
            assert answer.status_code == 404, (model, key, name)
            assert f"There is no {model._meta.verbose_name}" in shown
            assert "deleted" not in shown
            assert "<b>nobody" not in shown
            assert f'href="{page(model, "changelist")}">See those there are' in shown


def test_an_address_that_leads_nowhere_says_so_and_leads_on(auditor: Client) -> None:
    assert "There is nothing at this address" in text(auditor, "/admin/nowhere/", status=404)
    assert "Not for your role" in text(auditor, "/admin/operations/", status=403)
    assert "This cannot be read" in text(auditor, "/admin/books/?at=%00", status=400)


def test_signing_in_on_the_sign_in_page_itself_leads_to_the_dashboard() -> None:
    user = new_user(Role.AUDITOR)
    user.is_staff = True
    user.set_password("a password of theirs")
    user.save()
    sent = {"username": user.get_username(), "password": "a password of theirs"}
    assert Client().post("/admin/login/", sent)["Location"] == "/admin/"
