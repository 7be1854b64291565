"""Which texts are to be gone: those of an account before its subject was erased, and whoever shares them."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.domain.account import ERASED
from ledger.domain.cash import INITIAL_BALANCE
from ledger.domain.events import SubjectErased
from ledger.store import history

BATCH = 1_000
# Said by the ledger and not by a person, so nobody's to be forgotten.
KEPT = ("", INITIAL_BALANCE)


class Erasures:
    """The last erasure of each subject, up to a position."""

    def __init__(self, up_to: int) -> None:
        self._positions: dict[str, int] = {}
        after = 0
        while found := history.sequenced_events(after, BATCH, None, SubjectErased.__name__):
            after = found[-1].position
            self._positions |= {s.event.aggregate_id: s.position for s in found if s.position <= up_to}

    def text(self, said: str, account_ids: Iterable[str], position: int) -> str:
        """Return what is left of a text that these accounts shared at a position."""
        is_erased = any(self._positions.get(id_, 0) > position for id_ in account_ids)
        return ERASED if is_erased and said not in KEPT else said
