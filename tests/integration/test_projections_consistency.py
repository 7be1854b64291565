"""verify_consistency finds every kind of wrong row, names it, and finds nothing where nothing is wrong."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command

from ledger.domain.commands import PlaceHold
from ledger.domain.instants import format_instant
from ledger.store import journal
from tests.read_world import (
    change_read_model,
    open_accounts,
    order_everything,
    projector,
    random_commands,
    read_model,
    relay,
    submit,
    wait_until_applied,
)

pytestmark = pytest.mark.usefixtures("clean_stores")


def call(*arguments: str) -> tuple[int, str]:
    printed = StringIO()
    try:
        call_command("verify_consistency", *arguments, stdout=printed, stderr=StringIO())
    except SystemExit as left:
        return int(left.code or 0), printed.getvalue()
    return 0, printed.getvalue()


@pytest.fixture
def books(clean_stores: None) -> int:
    submit(*random_commands(open_accounts(6), 80))
    submit(PlaceHold("acc-1", Decimal(1)))
    head = order_everything()
    with projector():
        wait_until_applied()
    return head


def test_right_books_have_no_difference(books: int) -> None:
    assert call() == (0, f"the read models are the fold of the event store, up to position {books}\n")
    assert call("--account", "acc-1")[0] == 0
    middle = format_instant(journal.read(books // 2)[0].event.recorded_at)
    assert call("--since", middle)[0] == 0


ONE_LINE = "position = (SELECT max(position) FROM transactions WHERE account_id = 'acc-1')"
WRONG = {
    "accounts: account acc-1": "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE account_id = 'acc-1'",
    "accounts: account acc-2": "UPDATE accounts SET status = 'frozen' WHERE account_id = 'acc-2'",
    "accounts: account acc-3": "DELETE FROM accounts WHERE account_id = 'acc-3'",
    "accounts: account ghost": "INSERT INTO accounts (account_id, owner_name, currency, status, balance_minor, "
    "held_minor, overdraft_limit_minor, version, opened_at, updated_at, position) "
    "VALUES ('ghost', 'g', 'USD', 'active', 0, 0, 0, 1, now(), now(), 1)",
    "transactions: event": f"DELETE FROM transactions WHERE {ONE_LINE}",
    "postings: event": f"UPDATE postings SET amount_minor = amount_minor * 2 WHERE NOT is_external AND {ONE_LINE}",
    "postings: command": "DELETE FROM postings WHERE posting_id IN "
    "(SELECT min(posting_id) FROM postings WHERE is_external)",
    "daily_balances: day": "UPDATE daily_balances SET credits_minor = credits_minor + 1 WHERE account_id = 'acc-1'",
    "trial_balance: currency USD": "UPDATE trial_balance SET external_minor = 0 WHERE currency = 'USD'",
    "transfers: open hold": "UPDATE transfers SET status = 'released' WHERE kind = 'hold'",
    "activity: event type AccountCreated": "DELETE FROM activity WHERE event_type = 'AccountCreated'",
    "transfers: position": "UPDATE checkpoints SET position = position + 1 WHERE projection = 'transfers'",
}


@pytest.mark.parametrize("named", WRONG)
def test_a_wrong_row_is_found_and_named(named: str, books: int) -> None:
    before = read_model("SELECT count(*) FROM transactions")
    assert before > [(0,)]
    change_read_model(WRONG[named])
    code, printed = call()
    assert code == 1
    assert named in printed


def test_one_account_is_compared_alone(books: int) -> None:
    change_read_model("UPDATE accounts SET balance_minor = balance_minor + 1 WHERE account_id = 'acc-2'")
    assert call("--account", "acc-1")[0] == 0
    assert call("--account", "acc-2")[0] == 1


def test_a_working_projector_does_not_disturb_the_comparison() -> None:
    ids = open_accounts(6)
    with relay(), projector():
        for seed in range(6):
            submit(*random_commands(ids, 40, seed))
            if seed == 0:
                wait_until_applied()
            assert call()[0] == 0
