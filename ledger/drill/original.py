"""What a copy was before it was attacked: the key that signed it, and what somebody outside has kept of it.

Both are read from the copy itself. The log goes on while the drill runs, so its own head is another one by then,
and its key may be.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from ledger.store import succession, tree_heads
from ledger.store.connection import dedicated_connection, translated
from ledger.store.signed_note import Signer
from ledger.store.succession import Trust
from ledger.store.tree import Connection

# Somebody who fetches a head now and then. Each that no longer holds is a fault, and of those 200 are kept.
HEADS_KEPT_MAX = 64
_HEADS = "SELECT tree_size, note FROM tree_heads ORDER BY tree_size"


@dataclass(frozen=True, slots=True)
class Original:
    """`signs_from`: the smallest tree that `signer` may sign; `kept`: heads by their size, smallest first."""

    signer: Signer
    signs_from: int
    trust: Trust
    kept: dict[int, str]

    @property
    def against(self) -> tuple[tuple[str, str], ...]:
        return tuple((f"kept head of {size}", note) for size, note in self.kept.items())

    @property
    def size(self) -> int:
        return max(self.kept)


def read_original() -> Original:
    """Read it from the event store as it is. Raises: NoTreeHead, LogKeyUnusable, SuccessionBroken."""
    with dedicated_connection() as conn:
        size = tree_heads.at_size(conn, None).tree_size
        changes = [change for change in succession.changes(conn) if change.position <= size]
        signer = succession.signer_at(changes, size)
        # Whoever keeps heads has heard of each key when it came.
        keys = (changes[0].old, *(change.new for change in changes)) if changes else (signer.verifier,)
        signs_from = changes[-1].position if changes else 0
        return Original(signer, signs_from, Trust(settings.LOG_ORIGIN, keys), _some_heads(conn))


def _some_heads(conn: Connection) -> dict[int, str]:
    """Return heads spread over the whole log, the last one among them."""
    with translated():
        heads = conn.execute(_HEADS).fetchall()
    step = -(-len(heads) // HEADS_KEPT_MAX)
    return dict(heads[::-1][::step][::-1])
