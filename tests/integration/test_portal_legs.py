"""A transfer with several accounts from the portal: as many lines as are filled in, each told what is wrong with it."""

from __future__ import annotations

import random
import re
import string

import pytest
from django.test import Client

from auditor.commands.legs import LINES_MAX
from chronicle.roles import Role
from tests.integration.test_portal_commands import asked, confirmed, error_beside, sides, text
from tests.ledger_world import history, new_account
from tests.portal_world import signed_in

pytestmark = pytest.mark.usefixtures("clean_stores")
ID_LETTERS = f"{string.ascii_letters}{string.digits}._:-"
ADDRESS_BYTES_MAX = 8_000  # nginx and others take a request line of 8 KiB


@pytest.fixture
def operator() -> Client:
    return signed_in(Role.OPERATOR)


@pytest.fixture
def account() -> str:
    return new_account(100)


def test_a_transfer_with_several_accounts_is_shown_line_by_line_and_takes_effect_once(
    operator: Client, account: str
) -> None:
    two, three = new_account(50), new_account()
    given = sides([(account, "70.00"), ("", ""), (two, "30")], [(three, "100"), ("", "")])
    confirmation = asked(operator, "multi-transfer", description="Pooled", **given)
    shown = text(operator.get(confirmation))
    for account_id, amount in ((account, "70.00"), (two, "30"), (three, "100")):
        assert f"{account_id} not known to the read model {amount}" in shown
    assert [event for _, event, _ in history(account)] == ["AccountCreated", "MoneyDeposited"]
    answers = [operator.post(confirmation) for _ in range(2)]
    assert "Accepted and recorded 3 events" in text(operator.get(answers[0]["Location"]))
    assert "It was done already, and not done again" in text(operator.get(answers[1]["Location"]))
    assert [history(id_)[-1][2] for id_ in (account, two, three)] == [3_000, 2_000, 10_000]


def test_a_line_is_told_what_is_wrong_with_it_beside_its_own_field(operator: Client, account: str) -> None:
    other = new_account()
    for sources, targets, field, code in [
        ([(account, "1"), ("a b", "2")], [(other, "3")], "sources.1.account_id", "invalid_account_id"),
        ([(account, "1"), (other, "")], [(other, "3")], "sources.1.amount", "missing_field"),
        ([(account, "1")], [(other, "-3")], "targets.0.amount", "amount_not_positive"),
        ([(account, "1")], [], "targets", "missing_field"),
        ([(account, "1")] * 26, [(other, "26")], "sources", "invalid_field"),
    ]:
        answer = operator.post("/admin/commands/multi-transfer/", sides(sources, targets))
        assert error_beside(answer, field).endswith(code)
    for sources, targets, field, code in [
        ([(account, "1"), (other, "2")], [("nobody", "3")], "targets.0.account_id", "account_not_found"),
        ([(account, "101")], [(other, "101")], "sources.0.amount", "insufficient_funds"),
        ([(account, "1")], [(other, "1"), (account, "0.5")], "sources.0.account_id", "same_account"),
    ]:
        assert error_beside(confirmed(operator, "multi-transfer", **sides(sources, targets)), field).endswith(code)
    whole = text(confirmed(operator, "multi-transfer", **sides([(account, "2")], [(other, "1")])))
    assert "The sources give 2.00 USD, the targets get 1.00. unbalanced" in whole
    assert len(history(account)) == 2


def test_the_largest_transfer_a_form_takes_fits_in_an_address(operator: Client) -> None:
    letters = random.Random(1)
    legs = [("".join(letters.choices(ID_LETTERS, k=64)), f"{letters.randrange(10**15)}.25") for _ in range(LINES_MAX)]
    address = asked(
        operator, "multi-transfer", description="÷" * 500, **sides(legs, [(id_[::-1], n) for id_, n in legs])
    )
    assert len(address) < ADDRESS_BYTES_MAX
    back = re.search(r'href="(/admin/commands/multi-transfer/\?draft=[^"]+)"', operator.get(address).content.decode())
    assert back is not None
    shown = operator.get(back[1]).content.decode()
    assert all(f'value="{text}"' in shown for leg in legs for text in leg)
