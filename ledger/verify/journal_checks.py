"""Checks of the journal's rows in their order: no gap, whole commands, the running hash, books that balance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from ledger.domain.events import EXCHANGE, EXTERNAL
from ledger.store.event_store import FINAL_AFTER
from ledger.store.hashing import extend_running_hash
from ledger.verify.chains import Link
from ledger.verify.event_checks import fault_at
from ledger.verify.faults import Fault, Kind, short
from ledger.verify.rows import Row, Seed

# Counter-accounts whose side of a command is posted by the read model alone, and so is not among its events.
OUTSIDE = (EXTERNAL, EXCHANGE)
# A relay's clock against the database's: sequenced_at is taken by the same server as recorded_at.
CLOCK_SLACK = timedelta(seconds=5)


class JournalCheck:
    """Follows rows in the order of their positions, from the row before the first of them."""

    def __init__(self, seed: Seed) -> None:
        self._last: Seed | Row = seed
        self._postings: dict[str, int] = defaultdict(int)

    def check(self, row: Row, before: Link | None) -> Iterator[Fault]:
        """Yield the faults of a row's place. `before`: the end of its aggregate's chain before it."""
        last = self._last
        if row.position != last.position + 1:
            yield _missing(last.position + 1, row.position - 1)
        else:
            yield from self._check_command(row, last)
            computed = extend_running_hash(last.running_hash, row.event_hash)
            if computed != row.running_hash:
                detail = f"stored {short(row.running_hash)}, computed {short(computed)}"
                yield fault_at(row, Kind.RUNNING_HASH, detail)
        yield from self._check_time(row, last)
        yield from self._check_books(row, before)
        self._last = row

    def finish(self, up_to: int) -> Iterator[Fault]:
        """What only shows at the journal's end: positions that are gone, a command that is cut off."""
        last = self._last
        if last.position < up_to:
            yield _missing(last.position + 1, up_to)
        elif last.position and last.command_index + 1 != last.command_size:
            detail = f"the journal ends after event {last.command_index + 1} of {last.command_size} of a command"
            yield Fault(Kind.COMMAND, detail, last.position)

    def _check_command(self, row: Row, last: Seed | Row) -> Iterator[Fault]:
        if last.command_index + 1 < last.command_size:
            expected = (last.command_id, last.command_index + 1, last.command_size)
            if (row.command_id, row.command_index, row.command_size) != expected:
                yield fault_at(row, Kind.COMMAND, f"stands inside command {last.command_id}")
        elif row.command_index != 0:
            yield fault_at(row, Kind.COMMAND, f"begins a command with its event {row.command_index + 1}")

    def _check_time(self, row: Row, last: Seed | Row) -> Iterator[Fault]:
        if last.sequenced_at is not None and row.sequenced_at < last.sequenced_at:
            yield fault_at(row, Kind.TIME, f"sequenced at {row.sequenced_at}, before the position before it")
        if row.hash is None:
            return
        waited = row.sequenced_at - row.recorded_at
        if waited < -CLOCK_SLACK:
            yield fault_at(row, Kind.TIME, f"recorded {-waited} after it was sequenced")
        if row.is_late and waited < FINAL_AFTER:
            yield fault_at(row, Kind.TIME, f"marked as late, and sequenced {waited} after it was recorded")

    def _check_books(self, row: Row, before: Link | None) -> Iterator[Fault]:
        """What a command moves on its accounts, and in the world outside, sums to zero per currency."""
        if row.command_index == 0:
            self._postings.clear()
        if row.hash is None or before is None:
            return
        # From the states, and so for every event that moves money, whatever its type.
        moved_minor = row.state.get("balance_minor", 0) - getattr(before.state, "balance_minor", 0)
        if moved_minor and not str(row.data.get("counter_account")).startswith(OUTSIDE):
            self._postings[str(row.state.get("currency"))] += moved_minor
        if row.command_index + 1 < row.command_size:
            return
        for currency, total in self._postings.items():
            if total:
                yield fault_at(row, Kind.BOOKS, f"the command's postings in {currency} sum to {total}, not to zero")


def _missing(first: int, last: int) -> Fault:
    which = f"position {first} is" if first == last else f"positions {first} to {last} are"
    return Fault(Kind.MISSING_POSITION, f"{which} missing", first)
