"""Short words for tests of the read side: make history by commands, run a relay and a projector, compare.

`Background` runs the real relay or projector in a thread with an event loop of its own; `Process` runs the
management command in a process that a test may kill.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import psycopg
from django.conf import settings

from ledger.bus.relay import relay_events
from ledger.domain.commands import Command, CreateAccount, Deposit, Transfer, Withdraw
from ledger.drill.forgery import go_past_triggers
from ledger.engine.execute import execute
from ledger.engine.submission import Submission
from ledger.store import journal
from ledger.store.connection import dedicated_connection
from projections.runner import run_projections
from tests.servers import REPOSITORY, libpq
from tests.waiting import wait_for

STOP_S_MAX = 60  # a process may be starting still, on a machine that does other things too
CURRENCIES = ("USD", "USD", "JPY", "BHD")


def submit(*commands: Command) -> None:
    execute([Submission(command, actor="tester") for command in commands])


def open_accounts(number: int, prefix: str = "acc", balance: int = 1_000) -> list[str]:
    """Open accounts with money in them; the currencies go round."""
    ids = [f"{prefix}-{index}" for index in range(number)]
    submit(*(
        CreateAccount(id_, f"Owner {index}", CURRENCIES[index % len(CURRENCIES)], Decimal(balance))
        for index, id_ in enumerate(ids)
    ))  # fmt: skip
    return ids


def random_commands(accounts: list[str], number: int, seed: int = 1) -> list[Command]:
    """Return deposits, withdrawals and transfers between accounts; some will be refused."""
    choose = random.Random(seed)
    commands: list[Command] = []
    for index in range(number):
        one, other = choose.sample(accounts, 2)
        amount = Decimal(choose.randint(1, 400))
        commands.append(
            choose.choice((
                Deposit(one, amount, f"salary {index}"),
                Withdraw(one, amount, f"rent {index}"),
                Transfer(one, other, amount, f"invoice {index}"),
                Transfer(other, one, amount, f"refund {index}"),
            ))
        )  # fmt: skip
    return commands


def order_everything() -> int:
    """Move all accepted commands into the journal, as the relay would, and return the head position."""
    with dedicated_connection() as connection:
        while journal.sequence(connection, None).events:
            pass
    return journal.head().position


def read_model(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(libpq(settings.READ_MODEL_URL), autocommit=True) as connection:
        return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]


def change_read_model(*statements: str) -> None:
    with psycopg.connect(libpq(settings.READ_MODEL_URL)) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def change_event_store(statement: str, *parameters: Any) -> None:
    """Tamper as the owner, past the triggers: the application's role may not."""
    with psycopg.connect(libpq(settings.EVENT_STORE_OWNER_URL)) as connection:
        go_past_triggers(connection)
        connection.execute(statement, parameters)  # type: ignore[arg-type]


def positions() -> dict[str, int]:
    return dict(read_model("SELECT projection, position FROM checkpoints"))


def alarms() -> dict[str, str]:
    return dict(read_model("SELECT projection, alarm FROM checkpoints WHERE alarm <> ''"))


def wait_until_applied(position: int | None = None, timeout_s: float = 30.0) -> None:
    """Wait until every projection stands at the journal's head, or at a position."""

    def is_applied() -> bool:
        found = positions()
        target = journal.head().position if position is None else position
        return bool(found) and set(found.values()) == {target}

    wait_for(is_applied, "every projection at the head", timeout_s)


def stored_balances() -> dict[str, tuple[int, int]]:
    """Return version and balance of every account, from the event store."""
    with dedicated_connection() as connection:
        found = connection.execute(
            "SELECT DISTINCT ON (aggregate_id) aggregate_id, version, state->>'balance_minor' "
            "FROM events WHERE aggregate_type = 'account' ORDER BY aggregate_id, version DESC"
        )
        return {id_: (version, int(balance)) for id_, version, balance in found}


def read_balances() -> dict[str, tuple[int, int]]:
    return {id_: (version, balance) for id_, version, balance in
            read_model("SELECT account_id, version, balance_minor FROM accounts")}  # fmt: skip


# Each must find nothing: what would be wrong with books in which everything else is right.
WRONG_BOOKS = {
    "a command whose postings do not cancel":
        "SELECT command_id FROM postings GROUP BY command_id, currency HAVING sum(amount_minor) <> 0",
    "an account whose postings are not its balance":
        "SELECT account_id FROM accounts LEFT JOIN postings USING (account_id) WHERE is_external IS NOT TRUE "
        "GROUP BY account_id, balance_minor HAVING coalesce(sum(amount_minor), 0) <> balance_minor",
    "an account whose days are not its balance":
        "SELECT account_id FROM accounts LEFT JOIN daily_balances USING (account_id) WHERE is_external IS NOT TRUE "
        "GROUP BY account_id, balance_minor HAVING coalesce(sum(credits_minor - debits_minor), 0) <> balance_minor",
    "a currency whose trial balance is not zero, or not that of its postings":
        "SELECT currency FROM trial_balance t WHERE accounts_minor + external_minor <> 0 "
        "OR accounts_minor <> (SELECT sum(balance_minor) FROM accounts a WHERE a.currency = t.currency) "
        "OR t.postings <> (SELECT count(*) FROM postings p WHERE p.currency = t.currency)",
    "a description that cannot be found":
        "SELECT description FROM transactions WHERE description NOT IN ('', '[erased]') "
        "AND description NOT IN (SELECT reference FROM search_entries WHERE kind = 'description')",
    "a transfer that is not its lines, as far as nobody took it back":
        "SELECT transfer_id FROM transfers LEFT JOIN (SELECT transfer_id, count(*), count(DISTINCT currency) AS currencies, "
        "sum(amount_minor) FILTER (WHERE amount_minor < 0) AS given FROM transactions "
        "WHERE transfer_id IS NOT NULL AND kind <> 'reversal' GROUP BY 1) AS lines USING (transfer_id) "
        "WHERE kind NOT IN ('hold', 'saga') AND (count IS NULL OR amount_minor <> moved_minor "
        "OR (updated_position = position AND count <> jsonb_array_length(events)) "
        "OR (currencies = 1 AND moved_minor <> -given))",
    "a line of a transfer that is not there":
        "SELECT position FROM transactions l WHERE transfer_id IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM transfers t WHERE t.transfer_id = l.transfer_id)",
    "an account whose open holds are not what it has held":
        "SELECT account_id FROM accounts LEFT JOIN transfers ON from_account_id = account_id "
        "AND transfers.status IN ('held', 'started') "
        "GROUP BY account_id, held_minor HAVING coalesce(sum(amount_minor), 0) <> held_minor",
    "a hold that did not move what was captured":
        "SELECT transfer_id FROM transfers WHERE kind = 'hold' AND (moved_minor > 0) <> (status = 'captured')",
}  # fmt: skip


def assert_read_model_is_right() -> None:
    """The accounts are the event store's, every money event has exactly one line, and the books balance."""
    assert read_balances() == stored_balances()
    with dedicated_connection() as connection:
        money = connection.execute(
            "SELECT j.position, j.aggregate_id, j.version FROM journal j "
            "WHERE event_type LIKE 'Money%' OR event_type = 'HoldCaptured' ORDER BY 1"
        ).fetchall()
        ((events,),) = connection.execute("SELECT count(*) FROM journal").fetchall()
    assert read_model("SELECT position, account_id, version FROM transactions ORDER BY 1") == money
    assert read_model("SELECT coalesce(sum(events), 0) FROM activity") == [(events,)]
    for what, query in WRONG_BOOKS.items():
        assert read_model(query) == [], what


class Background:
    """Use as a context manager: runs `main(stop)` in a thread and ends it cleanly."""

    def __init__(self, main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        self._main = main
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        async def run() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._ready.set()
            await self._main(self._stop)

        try:
            asyncio.run(run())
        except BaseException as error:  # handed to the test by __exit__
            self._error = error

    def __enter__(self) -> Background:
        self._thread.start()
        assert self._ready.wait(STOP_S_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_S_MAX)
        assert not self._thread.is_alive(), "it stops when it is told to"
        if self._error is not None:
            raise self._error


def relay() -> Background:
    return Background(relay_events)


def projector() -> Background:
    return Background(run_projections)


@contextmanager
def process(*arguments: str, **options: Any) -> Any:
    """Run a management command in a process of its own; whatever is left of it at the end is killed."""
    started = subprocess.Popen([sys.executable, str(REPOSITORY / "manage.py"), *arguments], **options)
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.wait(STOP_S_MAX)
