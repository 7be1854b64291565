"""Short words for tests of the proofs: a history made by commands, ordered and signed as the relay does it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg

from ledger.bus.tree_keeper import TreeExtender
from ledger.domain.commands import Command, CreateAccount, Deposit, Transfer, Withdraw
from ledger.drill.forgery import go_past_triggers
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Submission
from ledger.store import journal, tree_heads
from ledger.store.connection import connection, dedicated_connection
from ledger.store.tree_heads import StoredHead
from tests.servers import Servers, libpq

BATCH = 1_000  # commits well within the 5 s that a command has, on a machine that does other things too


def submit(*commands: Command) -> list[Accepted]:
    outcomes = execute([Submission(command, actor="tester") for command in commands])
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    return outcomes  # type: ignore[return-value]


def order() -> int:
    """Move everything from the outbox into the journal and return its head position."""
    with dedicated_connection() as conn:
        while journal.sequence(conn, None).events:
            pass
    return journal.head().position


def sign() -> StoredHead:
    """Order everything, extend the tree and sign its head."""
    order()
    with dedicated_connection() as conn:
        TreeExtender().advance(conn)
        return tree_heads.at_size(conn, None)


def small_history() -> StoredHead:
    """Two accounts, ten positions: `ann` at 1 to 4, 6, 8 and 10, `bob` at 5, 7 and 9; 6 and 7 are one transfer."""
    submit(CreateAccount("ann", "Ann", "USD", Decimal(100)), Deposit("ann", Decimal(5)), Deposit("ann", Decimal(1)))
    submit(CreateAccount("bob", "Bob", "USD"))
    submit(Transfer("ann", "bob", Decimal(30)))
    # In two calls: of commands recorded at one instant, the journal may order either first.
    submit(Withdraw("ann", Decimal(2)))
    submit(Withdraw("bob", Decimal(3)))
    submit(Deposit("ann", Decimal("0.05")))
    return sign()


def long_history(events: int, accounts: int = 7) -> StoredHead:
    """As many events: a few accounts, then deposits into them in turn."""
    names = [f"account-{number}" for number in range(accounts)]
    submit(*(CreateAccount(name, "Owner", "USD") for name in names))
    deposits = [Deposit(names[number % accounts], Decimal(1)) for number in range(events - accounts)]
    for start in range(0, len(deposits), BATCH):
        submit(*deposits[start : start + BATCH])
    return sign()


def rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection() as conn:
        return conn.execute(query, parameters).fetchall()  # type: ignore[arg-type]


def tamper(servers: Servers, statement: str, *parameters: Any) -> int:
    """Change history as the database's superuser, who is asked by no role and stopped by no trigger."""
    with psycopg.connect(libpq(servers.event_store_owner_url)) as owner:
        go_past_triggers(owner)
        return owner.execute(statement, parameters).rowcount  # type: ignore[arg-type]


def deposit_more(account_id: str, times: int) -> None:
    submit(*[Deposit(account_id, Decimal(1))] * times)
