"""Failures of the machinery rather than of the command: same tree, same fields, other statuses.

The domain's own errors are in `ledger.domain.errors`; this module re-exports the root, so that the API
translates one tree.
"""

from __future__ import annotations

from ledger.domain.errors import Conflict, LedgerError, Malformed

__all__ = [
    "BatchAborted",
    "Busy",
    "CommitUnknown",
    "IdempotencyKeyReused",
    "InternalError",
    "JournalGap",
    "LedgerError",
    "Malformed",
    "NotYet",
    "Overloaded",
    "StoreConflict",
    "StoreUnavailable",
    "TooLate",
]


class IdempotencyKeyReused(Conflict):
    """The key was used for another request: choose a new key for a new request."""

    code = "idempotency_key_reused"


class BatchAborted(Conflict):
    """Another command of an all-or-nothing batch was refused; this one did not happen either."""

    code = "batch_aborted"


class StoreUnavailable(LedgerError):
    """The event store does not answer; nothing was written, or the same idempotency key will tell."""

    code = "store_unavailable"
    status = 503
    retryable = True


class Busy(LedgerError):
    """The retries for a contended aggregate, or a call that takes too long, are used up; nothing was written."""

    code = "busy"
    status = 503
    retryable = True


class Overloaded(LedgerError):
    """This process has as many commands waiting as it takes; nothing was written."""

    code = "overloaded"
    status = 503
    retryable = True


class NotYet(LedgerError):
    """The read model has not reached the asked version or position within the bound."""

    code = "not_yet"
    status = 503
    retryable = True


class StoreConflict(LedgerError):
    """Another writer was first (23505, 40001, 40P01): read again, decide again. Never reaches a caller."""

    code = "store_conflict"
    status = 503
    retryable = True


class TooLate(StoreConflict):
    """The command would have committed more than 5 s after its recorded_at, and was rolled back."""

    code = "too_late"


class JournalGap(LedgerError):
    """A position of the journal is missing: somebody has taken an event out. An incident."""

    code = "journal_gap"


class CommitUnknown(LedgerError):
    """The connection broke when the transaction may have committed: look the commands up. Internal."""

    code = "commit_unknown"
    status = 503
    retryable = True


class InternalError(LedgerError):
    """A defect; it is in the log."""
