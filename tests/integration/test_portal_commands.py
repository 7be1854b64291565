"""Commands from the portal: confirmed, executed once, refused with the API's codes, and for operators only."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from auditor.commands.draft import Draft
from auditor.commands.offers import OFFERS, inputs
from chronicle.roles import Role
from ledger.api.submissions import FORMS
from tests.ledger_world import history, new_account, rows, scalar, table_sizes
from tests.portal_world import signed_in
from tests.proof_world import order

pytestmark = pytest.mark.usefixtures("clean_stores")
DEPOSIT = "/admin/commands/deposit/"


@pytest.fixture
def operator() -> Client:
    return signed_in(Role.OPERATOR)


@pytest.fixture
def account() -> str:
    return new_account(100)


def text(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())


def asked(operator: Client, command_type: str, **given: Any) -> str:
    """Fill a form in and return the address of its confirmation."""
    answer = operator.post(f"/admin/commands/{command_type}/", given)
    assert answer.status_code == 302, text(answer)
    return str(answer["Location"])


def confirmed(operator: Client, command_type: str, **given: Any) -> Any:
    """Fill in, confirm, and return the answer to the confirmation."""
    return operator.post(asked(operator, command_type, **given))


def test_nothing_is_done_before_the_confirmation(operator: Client, account: str) -> None:
    before = table_sizes()
    shown = text(operator.get(asked(operator, "deposit", account_id=account, amount="12.50", description="Rent")))
    assert "Amount 12.50 Description Rent" in shown
    assert table_sizes() == before


def test_a_confirmed_command_is_executed_in_the_name_of_who_confirmed_it(operator: Client, account: str) -> None:
    answer = confirmed(operator, "deposit", account_id=account, amount="12.50", description="Rent")
    assert answer.status_code == 302
    shown = text(operator.get(answer["Location"]))
    assert "Accepted and recorded 1 event" in shown
    assert "112.50 USD" in shown
    assert history(account)[-1] == (3, "MoneyDeposited", 11_250)
    assert scalar(
        "SELECT metadata ->> 'actor' FROM events WHERE aggregate_id = %s AND version = 3", account
    ).startswith("user-")


def test_the_result_shows_positions_once_the_journal_has_given_them(operator: Client, account: str) -> None:
    order()
    answer = confirmed(operator, "withdraw", account_id=account, amount="1")
    assert 'data-after="2"' in operator.get(answer["Location"]).content.decode()
    order()
    page = operator.get(answer["Location"])
    assert re.search(r"data-position>3<", page.content.decode())
    assert 'data-after="2"' in page.content.decode(), "its arrival is still to be seen"


def test_a_double_click_takes_effect_once(operator: Client, account: str) -> None:
    confirmation = asked(operator, "deposit", account_id=account, amount="5")

    def click(_: int) -> Any:
        try:
            return operator.post(confirmation)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(click, range(2)))
    assert {answer.status_code for answer in answers} == {302}
    assert len({answer["Location"].partition("?")[0] for answer in answers}) == 1
    assert [version for version, _, _ in history(account)] == [1, 2, 3]
    again = operator.post(confirmation)
    assert "It was done already, and not done again" in text(operator.get(again["Location"]))
    assert len(history(account)) == 3


def test_a_confirmation_that_was_altered_or_is_anothers_or_of_another_command_does_nothing(
    operator: Client, account: str
) -> None:
    confirmation = asked(operator, "deposit", account_id=account, amount="5")
    for browser, address in (
        (operator, confirmation[:-1] + ("A" if confirmation[-1] != "A" else "B")),
        (operator, confirmation.replace("/deposit/", "/withdraw/")),
        (operator, "/admin/commands/deposit/confirm/"),
        (signed_in(Role.OPERATOR), confirmation),
    ):
        assert "This confirmation cannot be used" in text(browser.post(address), 400)
    assert len(history(account)) == 2


def test_a_form_can_be_gone_back_to_with_what_was_filled_in(operator: Client, account: str) -> None:
    shown = operator.get(asked(operator, "deposit", account_id=account, amount="5")).content.decode()
    back = re.search(r'href="(/admin/commands/deposit/\?draft=[^"]+)"', shown)
    assert back is not None
    assert f'value="{account}"' in operator.get(back[1]).content.decode()


def error_beside(answer: Any, field: str) -> str:
    found = re.search(rf'id="err-{field}"[^>]*>(.*?)</p>', answer.content.decode(), re.DOTALL)
    assert found is not None, f"an error stands beside {field}"
    return " ".join(re.sub(r"<[^>]*>", " ", found[1]).split())


@pytest.mark.parametrize(
    ("command_type", "given", "field", "code"),
    [
        ("deposit", {"amount": "1"}, "account_id", "missing_field"),
        ("deposit", {"account_id": "ACCOUNT", "amount": "-1"}, "amount", "amount_not_positive"),
        ("deposit", {"account_id": "ACCOUNT", "amount": "ten"}, "amount", "invalid_amount"),
        ("deposit", {"account_id": "a b", "amount": "1"}, "account_id", "invalid_account_id"),
        (
            "deposit",
            {"account_id": "ACCOUNT", "amount": "1", "effective_at": "soon"},
            "effective_at",
            "invalid_instant",
        ),
    ],
)
def test_malformed_fields_are_told_beside_them_before_anything_is_asked(
    operator: Client, account: str, command_type: str, given: dict[str, str], field: str, code: str
) -> None:
    before = table_sizes()
    given = {name: value.replace("ACCOUNT", account) for name, value in given.items()}
    answer = operator.post(f"/admin/commands/{command_type}/", given)
    assert error_beside(answer, field).endswith(code)
    assert table_sizes() == before


@pytest.mark.parametrize(
    ("command_type", "given", "field", "code"),
    [
        ("withdraw", {"account_id": "ACCOUNT", "amount": "100.01"}, "amount", "insufficient_funds"),
        ("deposit", {"account_id": "ACCOUNT", "amount": "1.001"}, "amount", "too_many_decimals"),
        ("deposit", {"account_id": "nobody", "amount": "1"}, "account_id", "account_not_found"),
        (
            "transfer",
            {"from_account_id": "ACCOUNT", "to_account_id": "nobody", "amount": "1"},
            "to_account_id",
            "account_not_found",
        ),
        (
            "transfer",
            {"from_account_id": "ACCOUNT", "to_account_id": "ACCOUNT", "amount": "1"},
            "to_account_id",
            "same_account",
        ),
        ("unfreeze-account", {"account_id": "ACCOUNT"}, "account_id", "account_not_frozen"),
        ("capture-hold", {"account_id": "ACCOUNT", "hold_id": "none"}, "hold_id", "hold_not_found"),
        (
            "create-account",
            {"account_id": "ACCOUNT", "owner_name": "X", "currency": "USD"},
            "account_id",
            "account_exists",
        ),
    ],
)
def test_refusals_are_told_beside_the_field_they_are_about(
    operator: Client, account: str, command_type: str, given: dict[str, str], field: str, code: str
) -> None:
    given = {name: value.replace("ACCOUNT", account) for name, value in given.items()}
    answer = confirmed(operator, command_type, **given)
    assert error_beside(answer, field).endswith(code)
    assert len(history(account)) == 2


def sides(sources: list[tuple[str, str]], targets: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return what a browser posts for the two sides of a transfer with several accounts."""
    return {
        f"{side}.{name}": [leg[index] for leg in legs]
        for side, legs in (("sources", sources), ("targets", targets))
        for index, name in enumerate(("account_id", "amount"))
    }


def test_every_offered_command_can_be_carried_out_from_its_form(operator: Client) -> None:
    one, other, euros = new_account(100), new_account(), new_account(currency="EUR")
    order_of_events: list[tuple[str, dict[str, Any]]] = [
        ("deposit", {"account_id": one, "amount": "1"}),
        ("withdraw", {"account_id": one, "amount": "1"}),
        ("transfer", {"from_account_id": one, "to_account_id": other, "amount": "1"}),
        ("multi-transfer", sides([(one, "2")], [(other, "2")])),
        ("exchange", {"from_account_id": one, "to_account_id": euros, "amount": "1", "to_amount": "0.9"}),
        ("freeze-account", {"account_id": one, "reason": "Asked"}),
        ("unfreeze-account", {"account_id": one}),
        ("set-overdraft-limit", {"account_id": one, "limit": "10"}),
        ("place-hold", {"account_id": one, "amount": "2"}),
        ("place-hold", {"account_id": one, "amount": "3"}),
        ("create-account", {"account_id": f"{one}-new", "owner_name": "New", "currency": "JPY"}),
        ("close-account", {"account_id": f"{one}-new"}),
    ]
    for command_type, given in order_of_events:
        assert confirmed(operator, command_type, **given).status_code == 302, command_type
    holds = [hold_id for (hold_id,) in rows("SELECT data ->> 'hold_id' FROM events WHERE event_type = 'FundsHeld'")]
    for command_type, hold_id in zip(("capture-hold", "release-hold"), holds, strict=True):
        assert confirmed(operator, command_type, account_id=one, hold_id=hold_id).status_code == 302
    event_id = scalar("SELECT event_id FROM events WHERE aggregate_id = %s AND version = 3", one)
    last = [
        ("reverse", {"event_id": str(event_id), "reason": "Wrong account"}),
        ("start-transfer", {"from_account_id": one, "to_account_id": other, "amount": "1"}),
    ]
    for command_type, given in last:
        answer = confirmed(operator, command_type, **given)
        assert answer.status_code == 302, text(answer)
        assert "Accepted and recorded" in text(operator.get(answer["Location"]))
    done = {command_type for command_type, _ in (*order_of_events, *last)}
    assert done | {"capture-hold", "release-hold"} == OFFERS.keys()


def test_forms_ask_for_the_fields_that_the_api_takes() -> None:
    for role, hidden in ((Role.ADMINISTRATOR, set()), (Role.OPERATOR, {"force"})):
        for command_type in OFFERS:
            asked = {field.name for field in inputs(command_type, {}, {}, {role})}
            assert asked == set(FORMS[command_type].serializer.fields) - {"expected_version"} - hidden


@pytest.mark.parametrize("role", [Role.AUDITOR, None])
def test_an_auditor_is_refused_every_form_and_sees_no_way_to_one(role: Role | None, account: str) -> None:
    browser = signed_in(*[role] if role else [])
    before = table_sizes()
    refused = {302} if role is None else {403}
    given = {"account_id": account, "amount": "1"}
    forms = [f"/admin/commands/{command_type}/" for command_type in OFFERS]
    for address in ["/admin/commands/", *forms, *(f"{form}confirm/" for form in forms)]:
        assert {browser.get(address).status_code, browser.post(address, given).status_code} == refused, address
    assert "/admin/commands/" not in browser.get("/admin/", follow=True).content.decode()
    assert table_sizes() == before


def test_a_form_of_another_site_is_refused(account: str) -> None:
    browser = Client(enforce_csrf_checks=True)
    user = signed_in_user()
    browser.force_login(user)
    draft = Draft.new("deposit", {"account_id": account, "amount": "1"}).signed_for(user)
    assert browser.post(f"{DEPOSIT}confirm/?draft={draft}").status_code == 403
    assert len(history(account)) == 2


def signed_in_user() -> Any:
    from tests.api_world import new_user

    user = new_user(Role.OPERATOR)
    user.is_staff = True
    user.save()
    return user


def test_what_is_no_offered_command_is_not_there(operator: Client) -> None:
    for name in ("expire-hold", "settle-transfer", "nothing"):
        assert operator.get(f"/admin/commands/{name}/").status_code == 404
    assert operator.get("/admin/commands/result/00000000-0000-0000-0000-000000000000/").status_code == 404
