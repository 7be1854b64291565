"""verify_consistency finds every kind of wrong row, names it, and finds nothing where nothing is wrong."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from chronicle.processes import USAGE
from ledger.domain.instants import format_instant
from ledger.store import journal
from projections import selectors
from projections.consistency.spill import Spill
from projections.time_travel import Cut
from projections.time_travel import books as books_at
from tests.clean import empty_everything
from tests.every_command import RandomCommands, open_in_two_currencies
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
from tests.servers import REPOSITORY, Servers

TABLES = (
    "accounts", "transactions", "transfers", "postings", "trial_balance", "daily_balances", "activity",
    "search_entries", "checkpoints",
)  # fmt: skip


def call(*arguments: str) -> tuple[int, str]:
    printed = StringIO()
    try:
        call_command("verify_consistency", *arguments, stdout=printed, stderr=StringIO())
    except SystemExit as left:
        return int(left.code or 0), printed.getvalue()
    return 0, printed.getvalue()


@pytest.fixture(scope="module")
def _right_books(database_for_module: None, stack: Servers) -> Iterator[int]:
    """A history and its read models, of which a copy is kept."""
    empty_everything(stack)
    commands = RandomCommands(open_in_two_currencies(6), random.Random(3))
    for _ in range(8):
        commands.execute(40)
    head = order_everything()
    with projector():
        wait_until_applied()
    change_read_model(
        "CREATE SCHEMA kept",
        *(f"CREATE TABLE kept.{name} AS SELECT {columns} FROM {name}" for name, columns in stored_columns()),
    )
    yield head
    change_read_model("DROP SCHEMA kept CASCADE")


@pytest.fixture
def books(_right_books: int, database: None) -> int:
    """The read models as they were before the last test changed them; return the position of the last event."""
    change_read_model(
        f"TRUNCATE {', '.join(TABLES)}",
        *(f"INSERT INTO {name} ({columns}) SELECT * FROM kept.{name}" for name, columns in stored_columns()),
    )
    return _right_books


def stored_columns() -> list[tuple[str, str]]:
    """Return each table with those of its columns that nothing generates."""
    return read_model(
        "SELECT table_name, string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = ANY(%s) AND is_generated = 'NEVER' GROUP BY 1",
        list(TABLES),
    )


def test_right_books_have_no_difference(books: int) -> None:
    assert call() == (0, f"the read models are the fold of the event store, up to position {books}\n")
    assert call("--account", "acc-1")[0] == 0
    middle = format_instant(journal.read(books // 2)[0].event.recorded_at)
    assert call("--since", middle)[0] == 0


def test_the_trial_balance_by_the_statements_is_that_of_the_postings(books: int) -> None:
    """Also where money went to the exchange desk, which is outside as the world is."""
    (exchanges,) = read_model("SELECT count(*) FROM transfers WHERE kind = 'exchange'")[0]
    assert exchanges > 0
    by_statements = {
        line.currency: (line.accounts_minor, line.external_minor) for line in selectors.trial_balance(None).lines
    }
    by_postings = {total.currency: (total.accounts_minor, total.external_minor) for total in books_at(Cut()).totals}
    assert by_statements == by_postings
    assert all(accounts + outside == 0 for accounts, outside in by_statements.values())


ONE_LINE = "position = (SELECT max(position) FROM transactions WHERE account_id = 'acc-1')"
A_MOVE = "transfer_id = (SELECT min(transfer_id) FROM transfers WHERE kind <> 'hold')"
AN_OPEN_HOLD = "transfer_id = (SELECT min(transfer_id) FROM transfers WHERE status = 'held')"
A_CLOSED_HOLD = "transfer_id = (SELECT min(transfer_id) FROM transfers WHERE status = 'captured')"
# What is to be named, and what is wrong then.
WRONG = [
    ("accounts: account acc-1", "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE account_id = 'acc-1'"),
    ("accounts: account acc-2", "UPDATE accounts SET owner_name = 'Nobody' WHERE account_id = 'acc-2'"),
    ("accounts: account acc-2", "UPDATE accounts SET held_minor = held_minor + 1 WHERE account_id = 'acc-2'"),
    ("accounts: account acc-2", "UPDATE accounts SET updated_at = now() WHERE account_id = 'acc-2'"),
    ("accounts: account acc-3", "DELETE FROM accounts WHERE account_id = 'acc-3'"),
    ("accounts: account ghost", "INSERT INTO accounts (account_id, owner_name, currency, status, balance_minor, "
     "held_minor, overdraft_limit_minor, version, opened_at, updated_at, position) "
     "VALUES ('ghost', 'g', 'USD', 'active', 0, 0, 0, 1, now(), now(), 1)"),
    ("transactions: event", f"DELETE FROM transactions WHERE {ONE_LINE}"),
    ("transactions: event", f"UPDATE transactions SET kind = 'gift' WHERE {ONE_LINE}"),
    ("transactions: event", f"UPDATE transactions SET description = 'else' WHERE {ONE_LINE}"),
    ("transactions: event", f"UPDATE transactions SET effective_at = now() WHERE {ONE_LINE}"),
    ("transactions: event 1:", "INSERT INTO transactions SELECT 1, gen_random_uuid(), account_id, version, kind, "
     "amount_minor, balance_minor, currency, counter_account, transfer_id, description, recorded_at, effective_at "
     f"FROM transactions WHERE {ONE_LINE}"),
    ("transactions: event 999", f"UPDATE transactions SET position = 999 WHERE {ONE_LINE}"),
    ("transactions: event 999", "INSERT INTO transactions SELECT 999, gen_random_uuid(), account_id, version, kind, "
     "amount_minor, balance_minor, currency, counter_account, transfer_id, description, recorded_at, effective_at "
     f"FROM transactions WHERE {ONE_LINE}"),
    ("postings: posting 1999", "INSERT INTO postings SELECT 1999, 999, command_id, account_id, is_external, currency, "
     f"amount_minor, recorded_at, effective_at FROM postings WHERE NOT is_external AND {ONE_LINE}"),
    ("transfers: transfer late", "INSERT INTO transfers SELECT 'late', kind, from_account_id, to_account_id, "
     "amount_minor, moved_minor, currency, description, status, expires_at, events, recorded_at, 999, "
     f"updated_at, 999 FROM transfers WHERE {A_MOVE}"),
    ("postings: posting", f"UPDATE postings SET amount_minor = amount_minor * 2 WHERE NOT is_external AND {ONE_LINE}"),
    ("postings: posting", f"UPDATE postings SET account_id = 'acc-2' WHERE NOT is_external AND {ONE_LINE}"),
    ("postings: command", "DELETE FROM postings WHERE posting_id IN "
     "(SELECT min(posting_id) FROM postings WHERE is_external)"),
    ("daily_balances: day acc-1", "UPDATE daily_balances SET credits_minor = credits_minor + 1 "
     "WHERE account_id = 'acc-1'"),
    ("daily_balances: day external:USD", "UPDATE daily_balances SET postings = 0 WHERE account_id = 'external:USD'"),
    ("daily_balances: day acc-1 False 2001-01-01", "INSERT INTO daily_balances SELECT account_id, is_external, "
     "currency, '2001-01-01', 1, 1, 2 FROM daily_balances WHERE account_id = 'acc-1' LIMIT 1"),
    ("trial_balance: currency USD", "UPDATE trial_balance SET external_minor = 0 WHERE currency = 'USD'"),
    ("trial_balance: currency USD", "UPDATE trial_balance SET credits_minor = 0 WHERE currency = 'USD'"),
    ("trial_balance: currency EUR", "INSERT INTO trial_balance SELECT 'EUR', 0, 0, 0, 0, 0, 1"),
    ("activity: of", "DELETE FROM activity WHERE event_type = 'AccountCreated'"),
    ("activity: of", "UPDATE activity SET amount_minor = 1 WHERE event_type = 'FundsHeld'"),
    ("AccountFrozen GBP", "INSERT INTO activity SELECT '2001-01-01', 'AccountFrozen', 'GBP', 1, 1"),
    ("transfers: transfer", f"DELETE FROM transfers WHERE {A_MOVE}"),
    ("transfers: transfer", f"UPDATE transfers SET to_account_id = 'acc-9' WHERE {A_MOVE}"),
    ("transfers: transfer", f"UPDATE transfers SET events = '[]' WHERE {A_MOVE}"),
    ("transfers: transfer", f"UPDATE transfers SET amount_minor = 1 + amount_minor WHERE {A_MOVE}"),
    ("transfers: transfer", f"UPDATE transfers SET status = 'captured' WHERE {AN_OPEN_HOLD}"),
    ("transfers: transfer", f"UPDATE transfers SET expires_at = now() WHERE {AN_OPEN_HOLD}"),
    ("transfers: transfer", f"UPDATE transfers SET moved_minor = 0 WHERE {A_CLOSED_HOLD}"),
    ("transfers: transfer", f"DELETE FROM transfers WHERE {A_CLOSED_HOLD}"),
    ("transfers: transfer ghost", "INSERT INTO transfers SELECT 'ghost', kind, from_account_id, to_account_id, "
     "amount_minor, moved_minor, currency, description, status, expires_at, events, recorded_at, position, "
     f"updated_at, updated_position FROM transfers WHERE {A_MOVE}"),
    ("transfers: position", "UPDATE checkpoints SET position = position + 1 WHERE projection = 'transfers'"),
    ("search: account acc-4", "DELETE FROM search_entries WHERE reference = 'acc-4'"),
    ("search: account acc-4", "UPDATE search_entries SET text = 'x' WHERE reference = 'acc-4'"),
    ("search: description rent", "DELETE FROM search_entries WHERE reference = 'rent'"),
    ("search: description rent", "UPDATE search_entries SET position = position + 1 WHERE reference = 'rent'"),
    ("search: description ghost", "INSERT INTO search_entries VALUES ('description', 'ghost', 'ghost', 7)"),
]  # fmt: skip


@pytest.mark.parametrize(("named", "change"), WRONG)
def test_a_wrong_row_is_found_and_named(named: str, change: str, books: int) -> None:
    change_read_model(change)
    code, printed = call()
    assert code == 1
    assert named in printed


OF_ONE_ACCOUNT = {
    "accounts": "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE account_id = 'acc-2'",
    "daily_balances": "UPDATE daily_balances SET postings = 0 WHERE account_id = 'acc-2'",
    "transactions": "UPDATE transactions SET kind = 'gift' WHERE account_id = 'acc-2'",
    "postings": "UPDATE postings SET amount_minor = 0 WHERE account_id = 'acc-2'",
    "transfers": "UPDATE transfers SET status = 'lost' WHERE from_account_id = 'acc-2' AND kind = 'hold'",
    "search": "DELETE FROM search_entries WHERE reference = 'acc-2'",
}


@pytest.mark.parametrize("projection", OF_ONE_ACCOUNT)
def test_one_account_is_compared_alone(projection: str, books: int) -> None:
    change_read_model(OF_ONE_ACCOUNT[projection])
    assert call("--account", "acc-3")[0] == 0
    code, printed = call("--account", "acc-2")
    assert code == 1
    assert {line.split(":")[0] for line in printed.splitlines()} == {projection}


def test_every_difference_is_named_each_in_a_line(books: int) -> None:
    change_read_model("UPDATE accounts SET status = 'lost'", "DELETE FROM transfers", "TRUNCATE search_entries")
    _, printed = call()
    lines = printed.splitlines()
    assert len([line for line in lines if line.startswith("accounts:")]) == 6
    assert len(lines) == len(set(lines)) > 20
    assert not any("transactions" in line for line in lines)


def test_what_does_not_fit_into_memory_is_compared_all_the_same(books: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Spill.__init__, "__defaults__", (2,))
    monkeypatch.setattr(journal, "READ_BATCH", 7)
    assert call()[0] == 0
    change_read_model("UPDATE accounts SET held_minor = 9 WHERE account_id = 'acc-5'")
    assert "account acc-5" in call()[1]


@pytest.mark.parametrize("command", ["verify_consistency", "show_projections", "retry_parked"])
def test_a_check_that_could_not_be_made_has_not_failed(command: str, database: None) -> None:
    """Exit 3 and one sentence, not 1 and a traceback."""
    nowhere = "postgresql://postgres@127.0.0.1:1/read_model"
    done = subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=REPOSITORY, env={**os.environ, "READ_MODEL_URL": nowhere}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert (done.returncode, last.partition(":")[0], "Traceback" in done.stderr) == (3, "database_unavailable", False)


@pytest.mark.parametrize("account_id", ["ghost", "transfer:1"])
def test_an_account_that_does_not_exist_is_wrong_usage(account_id: str, books: int) -> None:
    """Or a misspelled one would be found to be right."""
    with pytest.raises(CommandError) as refused:
        call("--account", account_id)
    assert refused.value.returncode == USAGE


def test_the_first_and_the_last_instants_of_the_calendar_bound_a_comparison(books: int) -> None:
    for since in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert call("--since", since) == (
            0,
            f"the read models are the fold of the event store, up to position {books}\n",
        )


# The last one, because it begins with an empty world.
@pytest.mark.usefixtures("clean_stores")
def test_a_working_projector_does_not_disturb_the_comparison() -> None:
    ids = open_accounts(6)
    with relay(), projector():
        for seed in range(6):
            submit(*random_commands(ids, 40, seed))
            if seed == 0:
                wait_until_applied()
            assert call()[0] == 0
