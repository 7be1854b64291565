"""`manage.py simulate_traffic`: a small town's money, moving. For demonstrations and for trying a set-up.

Commands go through the engine like anybody's: some are refused, and then that is recorded too. The accounts
stay from run to run, so a second run continues where the first one stopped.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter, deque
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError, CommandParser

from chronicle.processes import LeanCommand
from ledger.bus.nudge import nudge
from ledger.domain.commands import Command as LedgerCommand
from ledger.domain.commands import CreateAccount, Deposit, Reverse, StartTransfer, Transfer, Withdraw
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Outcome, Rejected, Submission

ACTOR = "simulate_traffic"
OWNERS = ("Bakery", "Bookshop", "Brewery", "Carpenter", "Cinema", "Dairy", "Ferry", "Florist", "Foundry", "Library",
          "Market hall", "Mill", "Observatory", "Orchard", "Pharmacy", "Printing house", "Railway", "School", "Theatre",
          "Winery")  # fmt: skip
CURRENCIES = ("USD", "USD", "USD", "EUR", "EUR", "JPY")
DESCRIPTIONS = ("Invoice", "Rent", "Salaries", "Supplies", "Repairs", "Insurance", "Energy", "Subscription")
_MISTAKABLE = (Deposit, Transfer, Withdraw)
_reversible: deque[str] = deque(maxlen=100)  # the ids of what was done last, for somebody to take back
# As fast as asked, but never more commands than this waiting in one call.
PER_CALL_MAX = 100


class Command(LeanCommand):
    help = "Sends deposits, withdrawals and transfers among demonstration accounts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--commands", type=int, help="how many in all, as fast as they go")
        parser.add_argument("--rate", type=float, default=2.0, help="commands per second (2)")
        parser.add_argument("--duration", type=float, help="seconds; without it, until stopped")
        parser.add_argument("--accounts", type=int, default=len(OWNERS), help=f"how many accounts ({len(OWNERS)})")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["rate"] <= 0 or options["accounts"] < 2:
            raise CommandError("a rate above 0 and at least 2 accounts are needed", returncode=2)
        # What it decides on could have been changed if the locks on history were off: see ledger.checks.
        self.require_locks()
        stop = threading.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: stop.set())
        accounts = [_account(number) for number in range(options["accounts"])]
        results = Counter(_result(o) for o in _run(list(accounts)))
        if options["commands"] is not None:
            _at_once(accounts, options["commands"], results, stop)
        else:
            _at_a_pace(accounts, options["rate"], options["duration"], results, stop)
        self.stdout.write(", ".join(f"{count} {result}" for result, count in sorted(results.items())))


def _at_once(accounts: list[CreateAccount], total: int, results: Counter[str], stop: threading.Event) -> None:
    for start in range(0, total, PER_CALL_MAX):
        if stop.is_set():
            return
        commands = [_next(accounts) for _ in range(min(PER_CALL_MAX, total - start))]
        results.update(_result(outcome) for outcome in _run(commands))


def _at_a_pace(accounts: list[CreateAccount], rate: float, duration_s: float | None, results: Counter[str],
               stop: threading.Event) -> None:  # fmt: skip
    started = due = time.monotonic()
    while duration_s is None or due - started < duration_s:
        if stop.wait(max(0.0, due - time.monotonic())):
            return
        results.update(_result(outcome) for outcome in _run([_next(accounts)]))
        due += 1 / rate


def _account(number: int) -> CreateAccount:
    owner = OWNERS[number % len(OWNERS)]
    account_id = f"demo-{number + 1:03}-{owner.split()[0].lower()}"
    return CreateAccount(account_id, owner, CURRENCIES[number % len(CURRENCIES)], Decimal(5000))


def _next(accounts: list[CreateAccount]) -> LedgerCommand:
    """Return one command; money mostly goes from account to account, as it does in a town."""
    account = random.choice(accounts)  # noqa: S311 (a demonstration)
    amount, description = Decimal(random.randint(1, 400)), random.choice(DESCRIPTIONS)  # noqa: S311
    peers = [a for a in accounts if a.currency == account.currency and a is not account]
    kind = random.random()  # noqa: S311
    if kind < 0.02 and _reversible:
        return Reverse("Sent by mistake", command_id=_reversible.pop())
    if kind < 0.6 and peers:
        moving = StartTransfer if kind < 0.1 else Transfer
        return moving(account.account_id, random.choice(peers).account_id, amount, description)  # noqa: S311
    if kind < 0.85:
        return Deposit(account.account_id, amount, description)
    return Withdraw(account.account_id, amount * 2, description)


def _run(commands: list[LedgerCommand]) -> list[Outcome]:
    submissions = [Submission(command, actor=ACTOR) for command in commands]
    outcomes = execute(submissions, on_commit=nudge)
    done = zip(commands, outcomes, strict=True)
    _reversible.extend(str(o.command_id) for c, o in done if isinstance(o, Accepted) and isinstance(c, _MISTAKABLE))
    return outcomes


def _result(outcome: Outcome) -> str:
    if isinstance(outcome, Rejected):
        return "there already" if outcome.error.code == "account_exists" else f"refused ({outcome.error.code})"
    return "accepted"
