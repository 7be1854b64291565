"""Whom the portal's checks trust: the log's own name and keys, as this machine knows them.

That is the operator's word for itself. An auditor who does not take it pastes a head of their own, or checks an
evidence bundle on a machine of their own.
"""

from __future__ import annotations

from django.conf import settings

from ledger.store import log_key, succession, tree_heads
from ledger.store.connection import connection
from ledger.store.succession import Trust
from ledger.verify.run import Request


def trust() -> Trust:
    """Return this machine's key and how the log's keys followed one another.

    Raises: LogKeyUnusable, SuccessionBroken, StoreUnavailable.
    """
    with connection() as conn:
        changes = succession.changes(conn)
    return Trust(settings.LOG_ORIGIN, (log_key.load_signer().verifier,), changes)


def current_vkey() -> str:
    """Return the verifier key of the key that signs now. Raises: as `trust`."""
    with connection() as conn:
        return succession.current_signer(conn).verifier.vkey


def verification_request(*, semantic: bool = False) -> Request:
    """Return what `verify_ledger` verifies without options, the head this machine signed last included."""
    remembered = tree_heads.remembered()
    against = () if remembered is None else ((tree_heads.memory_path().name, remembered),)
    # It follows the keys itself: a change that does not hold is a fault to be found, not a reason not to look.
    own = Trust(settings.LOG_ORIGIN, (log_key.load_signer().verifier,))
    return Request(own, against=against, semantic=semantic)
