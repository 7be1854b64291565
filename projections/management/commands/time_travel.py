"""`manage.py time_travel`: the books, or one account, as they were at an instant, a position or a version.

`--compare-to` shows what changed: between what was recorded at two instants, or, without `--at` and with
`--effective-at`, between what counted at them.

Exit 0: shown. 2: an instant without an offset, flags that do not go together, an id that no account has, or a
version it has not come to; the sentence begins with the code that the API has for it. 3: a store does not answer.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from chronicle.processes import MISSING, USAGE, LeanCommand
from ledger.domain.errors import LedgerError
from ledger.domain.instants import format_instant, parse_instant
from ledger.domain.money import format_minor
from ledger.errors import StoreUnavailable
from ledger.store.recorded import RecordedEvent
from projections import steps, time_travel
from projections.steps import Step
from projections.time_travel import Books, Cut, Difference

ROWS_SHOWN = 50
NUMBER_MAX = 2**63 - 1  # of a position or a version


class Command(LeanCommand):
    help = "Shows the books, or one account, as they were."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--at", metavar="INSTANT", help="what was recorded up to this instant (RFC 3339)")
        parser.add_argument("--effective-at", metavar="INSTANT", help="what counted up to this instant")
        parser.add_argument("--position", type=_number, metavar="N", help="what the journal held up to this position")
        parser.add_argument("--compare-to", metavar="INSTANT", help="what changed from then to this instant")
        parser.add_argument("--account", help="one account, with the event that made its balance so")
        parser.add_argument("--account-version", type=_number, metavar="N", help="of that account")
        parser.add_argument("--rows", type=_number, metavar="N", default=ROWS_SHOWN, help="how many accounts to show")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        _check_go_together(options)
        cut = Cut(_instant(options["at"]), _instant(options["effective_at"]), options["position"], options["account"])
        try:
            self._show(cut, options, console)
        except StoreUnavailable as error:
            raise CommandError(f"{error.code}: {error}", returncode=MISSING) from error
        except LedgerError as error:
            raise CommandError(f"{error.code}: {error}", returncode=USAGE) from error

    def _show(self, cut: Cut, options: dict[str, Any], console: Console) -> None:
        account_id, version = cut.account_id, options["account_version"]
        other = _instant(options["compare_to"])
        if account_id is not None and other is None:
            if version is not None:
                _print_step(steps.step_to(account_id, version), console)
                return
            if cut.recorded_at and cut.effective_at is None and cut.position is None:
                _print_step(steps.step_at(account_id, cut.recorded_at), console)
                return
        if account_id is not None:
            steps.check_exists(account_id)
        if other is None:
            _print_books(time_travel.books(cut), options["rows"], console)
            return
        counts = cut.recorded_at is None and cut.effective_at is not None
        then = replace(cut, effective_at=other) if counts else replace(cut, recorded_at=other)
        _print_changes(time_travel.difference(cut, then), options["rows"], console)


def _check_go_together(options: dict[str, Any]) -> None:
    """What would not be looked at is not passed over: it was meant."""
    if options["account_version"] is None:
        return
    if not options["account"]:
        raise CommandError("--account-version goes with --account", returncode=USAGE)
    for other in ("at", "effective_at", "position", "compare_to"):
        if options[other] is not None:
            flag = other.replace("_", "-")
            raise CommandError(f"--account-version says when: it does not go with --{flag}", returncode=USAGE)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < NUMBER_MAX):
        raise ArgumentTypeError(f"{text} is no whole number from 0")
    return int(text)


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise CommandError(f"{text} is no instant: {error}", returncode=USAGE) from error


def _print_books(books: Books, rows: int, console: Console) -> None:
    finality = "final" if books.is_final else "not final"
    table = Table("currency", "accounts", "outside", "sum", "postings", title=f"Trial balance ({finality})")
    for total in books.totals:
        amounts = (total.accounts_minor, total.external_minor, total.accounts_minor + total.external_minor)
        table.add_row(total.currency, *(format_minor(a, total.currency) for a in amounts), str(total.postings))
    console.print(table)
    for balance in books.balances[:rows]:
        console.print(
            f"{balance.account_id}  {format_minor(balance.balance_minor, balance.currency)} {balance.currency}"
        )
    if len(books.balances) > rows:
        console.print(f"… and {len(books.balances) - rows} more accounts")


def _print_changes(found: Difference, rows: int, console: Console) -> None:
    finality = "final" if found.is_final else "not final"
    console.print(f"{found.total} accounts differ ({finality})")
    for change in found.changes[:rows]:
        old, new = (format_minor(minor, change.currency) for minor in (change.before_minor, change.after_minor))
        console.print(f"{change.account_id}  {old} → {new} {change.currency}")


def _print_step(step: Step, console: Console) -> None:
    for name, event in (("before", step.before), ("then", step.event), ("after", step.after)):
        console.print(f"{name:>6}  {_line(event)}")
    console.print("final" if step.is_final else "not final")


def _line(event: RecordedEvent | None) -> str:
    if event is None:
        return "–"
    currency = event.state["currency"]
    balance = format_minor(event.state["balance_minor"], currency)
    return f"{format_instant(event.recorded_at)}  v{event.version}  {event.event_type}  {balance} {currency}"
