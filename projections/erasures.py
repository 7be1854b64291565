"""Erasures: what the read models forget when an account's subject is erased, so that they equal a rebuild of it.

A batch's events come with their texts opened (`Batch`). A rebuild after the key is destroyed finds `[erased]` in
them; what was opened and stored before has to be made so by the event. A text that a transfer's two sides share is
sealed under both accounts' keys, so it goes from both.

Which transfers an account took part in, and who else used the same words, only the lines of all statements know.
So `transfers` and `search` ask the table of `transactions`, and nowhere else: `lines_are_there` makes sure that it
has taken in everything before the erasure, or the erasure is parked until it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ledger.domain.account import ERASED as ERASED
from ledger.domain.commands import LEGS_MAX
from ledger.domain.events import CLEARING, SubjectErased
from ledger.store.journal import Sequenced

# `public`, because a set that is being built has checkpoints and parked events of its own beside it.
ARE_THERE = """
SELECT coalesce((SELECT position FROM public.checkpoints WHERE projection = 'transactions'), 0)
       >= (SELECT position FROM checkpoints WHERE projection = %s)
   AND NOT EXISTS (SELECT 1 FROM public.parked_events WHERE projection = 'transactions' AND aggregate_id = %s)
"""
# The lines of an account before its erasure, and those that share a text with one of them: the other side of a
# transfer or exchange stands beside it in the journal, the other legs of a multi-transfer within 2 × LEGS_MAX. A
# reversal after the erasure has the transfer's id too, and may be there already when a batch brings both.
_SPAN = f"CASE WHEN starts_with(own.counter_account, '{CLEARING}') THEN {2 * LEGS_MAX} ELSE 1 END"
LINES_TOUCHED = f"""
SELECT line.position FROM transactions AS own JOIN transactions AS line
  ON line.position BETWEEN own.position - {_SPAN} AND own.position + {_SPAN}
WHERE own.account_id = %(account_id)s AND own.position < %(position)s AND line.position < %(position)s
  AND (line.position = own.position OR line.transfer_id = own.transfer_id)
"""  # noqa: S608 (made of constants)


class LinesMissing(LookupError):
    """The table of transactions is behind, or has something of the account parked: retry_parked when it has not."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """Everything of the account before `position` is forgotten; what it says later is under another key."""

    account_id: str
    position: int

    @property
    def bounds(self) -> dict[str, str | int]:
        """Return the parameters of the statements that forget."""
        return {"account_id": self.account_id, "position": self.position}


def erasures(events: Iterable[Sequenced]) -> Iterator[Erasure]:
    """Yield the erasures among events, in order."""
    for sequenced in events:
        if sequenced.event.event_type == SubjectErased.__name__:
            yield Erasure(sequenced.event.aggregate_id, sequenced.position)


def lines_are_there(cursor: Any, projection: str, erasure: Erasure) -> None:
    """Raises: LinesMissing."""
    row = cursor.execute(ARE_THERE, (projection, erasure.account_id)).fetchone()
    if not row[0]:
        raise LinesMissing(f"the lines of {erasure.account_id} before {erasure.position} are not all in transactions")
