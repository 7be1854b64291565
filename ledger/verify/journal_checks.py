"""Checks of the journal's rows in their order: no gap, whole commands, the running hash, books that balance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from ledger.domain.events import EXCHANGE, EXTERNAL
from ledger.store.event_store import FINAL_AFTER
from ledger.store.hashing import extend_running_hash
from ledger.verify.chains import Link
from ledger.verify.event_checks import NONE, fault_at
from ledger.verify.faults import Fault, Kind, short
from ledger.verify.rows import Row, Seed

# Counter-accounts whose side of a command is posted by the read model alone, and so is not among its events.
OUTSIDE = (EXTERNAL, EXCHANGE)
# A relay's clock against the database's: sequenced_at is taken by the same server as recorded_at.
CLOCK_SLACK = timedelta(seconds=5)
_BALANCED: dict[str, int] = {}


class JournalCheck:
    """Follows rows in the order of their positions, from the row before the first of them."""

    def __init__(self, seed: Seed) -> None:
        self._last: Seed | Row = seed
        self._postings: dict[str, int] = {}

    def check(self, row: Row, before: Link | None) -> Iterable[Fault]:
        """Return the faults of a row's place. `before`: the end of its aggregate's chain before it."""
        last, self._last = self._last, row
        unbalanced = self._unbalanced(row, before)
        computed = extend_running_hash(last.running_hash, row.event_hash)
        if (
            row.position == last.position + 1
            and computed == row.running_hash
            and _continues_command(row, last)
            and _is_in_time(row, last)
            and not unbalanced
        ):
            return NONE
        return self._explain(row, last, computed, unbalanced)

    def _explain(self, row: Row, last: Seed | Row, computed: bytes, unbalanced: dict[str, int]) -> Iterator[Fault]:
        if row.position <= last.position:
            yield fault_at(row, Kind.POSITION, "it is there twice")
        elif row.position != last.position + 1:
            yield _missing(last.position + 1, row.position - 1)
        else:
            if not _continues_command(row, last):
                yield fault_at(row, Kind.COMMAND, _misplaced(row, last))
            if computed != row.running_hash:
                detail = f"stored {short(row.running_hash)}, computed {short(computed)}"
                yield fault_at(row, Kind.RUNNING_HASH, detail)
        yield from _check_time(row, last)
        for currency, total in unbalanced.items():
            yield fault_at(row, Kind.BOOKS, f"the command's postings in {currency} sum to {total}, not to zero")

    def finish(self, up_to: int) -> Iterator[Fault]:
        """What only shows at the journal's end: positions that are gone, a command that is cut off."""
        last = self._last
        if last.position < up_to:
            yield _missing(last.position + 1, up_to)
        elif last.position and last.command_index + 1 != last.command_size:
            detail = f"the journal ends after event {last.command_index + 1} of {last.command_size} of a command"
            yield Fault(Kind.COMMAND, detail, last.position)

    def _unbalanced(self, row: Row, before: Link | None) -> dict[str, int]:
        """Return, at a command's end, the currencies in which its accounts and the world outside do not sum to zero."""
        postings = self._postings
        if row.command_index == 0 and postings:
            postings.clear()
        if before is None:
            return _BALANCED
        try:
            # From the states, and so for every event that moves money, whatever its type.
            moved_minor = _balance_minor(row.state) - _balance_minor(before.state)
            if moved_minor and not str(row.data.get("counter_account")).startswith(OUTSIDE):
                currency = row.state["currency"]
                postings[currency] = postings.get(currency, 0) + moved_minor
        except (AttributeError, KeyError, TypeError):
            return _BALANCED  # no state of an account: what replays it says so
        if row.command_index + 1 < row.command_size or not any(postings.values()):
            return _BALANCED
        return {currency: total for currency, total in postings.items() if total}


def _balance_minor(state: Any) -> int:
    """Return the balance in a stored state: 0 before there is one, and for an aggregate that holds no money."""
    return 0 if state is None else state.get("balance_minor", 0)


def _continues_command(row: Row, last: Seed | Row) -> bool:
    if last.command_index + 1 == last.command_size:
        return row.command_index == 0
    expected = (last.command_id, last.command_index + 1, last.command_size)
    return (row.command_id, row.command_index, row.command_size) == expected


def _misplaced(row: Row, last: Seed | Row) -> str:
    if last.command_index + 1 < last.command_size:
        return f"stands inside command {last.command_id}"
    return f"begins a command with its event {row.command_index + 1}"


def _is_in_time(row: Row, last: Seed | Row) -> bool:
    if last.sequenced_at is not None and row.sequenced_at < last.sequenced_at:
        return False
    return row.hash is None or (row.is_late is False and row.sequenced_at >= row.recorded_at)


def _check_time(row: Row, last: Seed | Row) -> Iterator[Fault]:
    if last.sequenced_at is not None and row.sequenced_at < last.sequenced_at:
        yield fault_at(row, Kind.TIME, f"sequenced at {row.sequenced_at}, before the position before it")
    if row.hash is None:
        return
    waited = row.sequenced_at - row.recorded_at
    if waited < -CLOCK_SLACK:
        yield fault_at(row, Kind.TIME, f"recorded {-waited} after it was sequenced")
    if row.is_late is None:
        yield fault_at(row, Kind.TIME, "it does not say whether it was late")
    elif row.is_late and waited < FINAL_AFTER:
        yield fault_at(row, Kind.TIME, f"marked as late, and sequenced {waited} after it was recorded")


def _missing(first: int, last: int) -> Fault:
    which = f"position {first} is" if first == last else f"positions {first} to {last} are"
    return Fault(Kind.MISSING_POSITION, f"{which} missing", first)
