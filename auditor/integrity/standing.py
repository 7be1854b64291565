"""How far the log is signed, and how far and with what result it was last verified from the portal."""

from __future__ import annotations

from dataclasses import dataclass

from auditor.jobs.work import VERIFY
from auditor.models import Job
from ledger.domain.instants import format_instant
from ledger.store import tree_heads
from ledger.store.connection import connection


@dataclass(frozen=True, slots=True)
class Signed:
    tree_size: int
    signed_at: str


@dataclass(frozen=True, slots=True)
class Verified:
    """`covered`: the position up to which a signed head vouched for what was verified."""

    fault_count: int
    covered: int
    at: str


def last_signed() -> Signed | None:
    """Return the newest signed tree head. Raises: StoreUnavailable."""
    with connection() as conn:
        head = tree_heads.last(conn)
    return None if head is None else Signed(head.tree_size, format_instant(head.signed_at))


def last_verified() -> Verified | None:
    """Return the last verification that came to its end."""
    run = Job.objects.filter(kind=VERIFY, state=Job.State.DONE).order_by("-pk").first()
    if run is None:
        return None
    return Verified(run.result["fault_count"], run.result["covered"], format_instant(run.started_at))
