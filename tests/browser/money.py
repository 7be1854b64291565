"""Short words for the tests of the running system: accounts and deposits, by the engine or over HTTP."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any

import httpx

from ledger.bus.nudge import nudge
from ledger.domain.commands import CreateAccount, Deposit
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Submission
from ledger.store import journal
from tests.browser.live_system import LiveSystem
from tests.waiting import wait_for

_numbers = count(1)
DEPOSITS_PER_CALL = 2_000
# Of a web process on a machine that does other things too.
ANSWER_S_MAX = 60.0


def new_account(currency: str = "USD", balance: str = "0") -> str:
    """Open an account and return its id."""
    account_id = f"browser-{next(_numbers):04}"
    accept(CreateAccount(account_id, "Somebody", currency, Decimal(balance)))
    return account_id


def deposit(account_id: str, times: int = 1, amount: str = "1.00") -> None:
    """Deposit as often as asked, in as few calls as there can be: one event each."""
    for start in range(0, times, DEPOSITS_PER_CALL):
        accept(*[Deposit(account_id, Decimal(amount))] * min(DEPOSITS_PER_CALL, times - start))


def deposit_over_http(server: LiveSystem, account_id: str, amount: str) -> dict[str, Any]:
    """Deposit as curl would, and return the answer."""
    answer = httpx.post(
        f"{server.url}/api/v1/commands/deposit",
        json={"account_id": account_id, "amount": amount, "description": "Over HTTP"},
        headers=server.token_header("operator"),
        timeout=ANSWER_S_MAX,
    )
    assert answer.status_code == httpx.codes.CREATED, answer.text
    body: dict[str, Any] = answer.json()
    return body


def browsing(server: LiveSystem) -> httpx.Client:
    """A client that keeps its cookies, as a browser does."""
    return httpx.Client(base_url=server.url, timeout=ANSWER_S_MAX)


def transfer_over_http(server: LiveSystem, source: str, target: str, amount: str) -> str:
    """Transfer as curl would, wait until the read model has it, and return the transfer's id."""
    headers = server.token_header("operator")
    answer = httpx.post(
        f"{server.url}/api/v1/commands/transfer",
        json={"from_account_id": source, "to_account_id": target, "amount": amount, "description": "Over HTTP"},
        headers=headers,
        timeout=ANSWER_S_MAX,
    )
    assert answer.status_code == httpx.codes.CREATED, answer.text
    transfer_id: str = answer.json()["transfer_id"]
    address = f"{server.url}/api/v1/transfers/{transfer_id}"
    # The API waits for its read model too, but no longer than a second.
    wait_for(lambda: httpx.get(address, headers=headers, timeout=ANSWER_S_MAX).is_success, f"{address} to be there")
    return transfer_id


def settled() -> int:
    """Wait until the relay has ordered every accepted command, and return the journal's head."""
    from ledger import selectors

    wait_for(lambda: selectors.backlog().outbox_commands == 0, "an empty outbox")
    return journal.head().position


def accept(*commands: Any) -> None:
    """Have the engine execute commands, each of which must be accepted."""
    outcomes = execute([Submission(command, actor="a test") for command in commands], on_commit=nudge)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
