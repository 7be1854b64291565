"""`manage.py time_travel`: the books, or one account, as they were at an instant, a position or a version.

Exit 0: shown. 2: an instant without an offset, flags that do not go together, an id that no account has, or a
version it has not come to; the sentence begins with the code that the API has for it. 3: a store does not answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from chronicle.processes import MISSING, USAGE
from ledger.domain.errors import LedgerError
from ledger.domain.instants import format_instant, parse_instant
from ledger.domain.money import format_minor
from ledger.errors import StoreUnavailable
from ledger.store.recorded import RecordedEvent
from projections import steps, time_travel
from projections.steps import Step
from projections.time_travel import Books, Cut

ROWS_SHOWN = 50


class Command(BaseCommand):
    help = "Shows the books, or one account, as they were."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--at", metavar="INSTANT", help="what was recorded up to this instant (RFC 3339)")
        parser.add_argument("--effective-at", metavar="INSTANT", help="what counted up to this instant")
        parser.add_argument("--position", type=int, help="what the journal held up to this position")
        parser.add_argument("--compare-to", metavar="INSTANT", help="what changed between --at and this instant")
        parser.add_argument("--account", help="one account, with the event that made its balance so")
        parser.add_argument("--account-version", type=int, metavar="N", help="of that account")
        parser.add_argument("--rows", type=int, default=ROWS_SHOWN, help="how many accounts to show")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=self.stdout, highlight=False)  # type: ignore[arg-type]
        recorded_at = _instant(options["at"])
        if options["account_version"] is not None and not options["account"]:
            raise CommandError("--account-version goes with --account", returncode=USAGE)
        cut = Cut(recorded_at, _instant(options["effective_at"]), options["position"], options["account"])
        try:
            self._show(cut, options, console)
        except StoreUnavailable as error:
            raise CommandError(f"{error.code}: {error}", returncode=MISSING) from error
        except LedgerError as error:
            raise CommandError(f"{error.code}: {error}", returncode=USAGE) from error

    def _show(self, cut: Cut, options: dict[str, Any], console: Console) -> None:
        account_id, version = cut.account_id, options["account_version"]
        if account_id is not None:
            if version is not None:
                _print_step(steps.step_to(account_id, version), console)
                return
            if cut.recorded_at and cut.effective_at is None and cut.position is None:
                _print_step(steps.step_at(account_id, cut.recorded_at), console)
                return
            steps.check_exists(account_id)
        books = time_travel.books(cut)
        if options["compare_to"]:
            other = _instant(options["compare_to"])
            assert other is not None, "an instant was given"
            _print_changes(books, time_travel.books(time_travel.at(cut, other)), options["rows"], console)
        else:
            _print_books(books, options["rows"], console)


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


def _print_changes(before: Books, after: Books, rows: int, console: Console) -> None:
    found = time_travel.changes(before, after)
    finality = "final" if before.is_final and after.is_final else "not final"
    console.print(f"{len(found)} accounts differ ({finality})")
    for change in found[:rows]:
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
