"""Short words for tests: submit commands to the real engine, and read the event store back."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

from ledger.domain.commands import Command, CreateAccount, Deposit
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Outcome, Rejected, Submission
from ledger.store.connection import connection

_numbers = count(1)
# What another writer does who is a moment faster: it takes the next version of an aggregate.
NEXT_VERSION = """
INSERT INTO events (event_id, aggregate_type, aggregate_id, version, event_type, schema_version, data, metadata, state,
                    recorded_at, effective_at, previous_hash, hash)
SELECT gen_random_uuid(), aggregate_type, aggregate_id, version + 1, event_type, schema_version, data, metadata, state,
       recorded_at, effective_at, previous_hash, hash FROM events WHERE aggregate_id = %s ORDER BY version DESC LIMIT 1
"""


def submission(command: Command, **fields: Any) -> Submission:
    return Submission(command, actor=fields.pop("actor", "tester"), **fields)


def run(command: Command, **fields: Any) -> Outcome:
    """Execute one command."""
    (outcome,) = execute([submission(command, **fields)])
    return outcome


def accepted(command: Command, **fields: Any) -> Accepted:
    outcome = run(command, **fields)
    assert isinstance(outcome, Accepted), outcome
    return outcome


def rejected(command: Command, **fields: Any) -> Rejected:
    outcome = run(command, **fields)
    assert isinstance(outcome, Rejected), outcome
    return outcome


def new_account(balance: int | str = 0, currency: str = "USD", owner_name: str = "Ann Auditor") -> str:
    """Create an account under a fresh id and return the id."""
    account_id = f"acc-{next(_numbers)}-{uuid4().hex[:8]}"
    accepted(CreateAccount(account_id, owner_name, currency, Decimal(balance)))
    return account_id


def deposit(account_id: str, amount: int | str = 1) -> Accepted:
    return accepted(Deposit(account_id, Decimal(amount)))


def rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Return rows of the event store, as the application's role sees them."""
    with connection() as conn:
        return conn.execute(query, parameters).fetchall()  # type: ignore[arg-type]


def scalar(query: str, *parameters: Any) -> Any:
    return rows(query, *parameters)[0][0]


# In one statement: a relay that runs may move a command from the outbox to the journal, which is no writing of it.
TABLE_SIZES = """
SELECT (SELECT count(*) FROM events),
       (SELECT count(*) FROM (SELECT command_id FROM outbox UNION SELECT command_id FROM journal) AS command),
       (SELECT count(*) FROM idempotency_keys),
       (SELECT count(*) FROM refusals)
"""


def table_sizes() -> dict[str, int]:
    """Return the number of rows of what a command may write to; its commands wait in the outbox or are in the journal."""
    (sizes,) = rows(TABLE_SIZES)
    return dict(zip(("events", "commands", "idempotency_keys", "refusals"), sizes, strict=True))


def history(account_id: str) -> list[tuple[int, str, int]]:
    """Return an account's events as (version, event_type, balance_minor after it)."""
    return rows(
        "SELECT version, event_type, (state->>'balance_minor')::bigint FROM events "
        "WHERE aggregate_id = %s ORDER BY version",
        account_id,
    )
