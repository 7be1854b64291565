"""Checks that the keys of requests still answer for what was done: without its key a request would happen twice.

Idempotency keys are under no hash, but an event is, and it names the key that its command came with. So a key that
was removed, or made to answer with another command, is found from the event's side, as long as keys are promised to be
remembered. What a key answers with after a refusal no event tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from django.conf import settings

from ledger.store.connection import translated
from ledger.store.tree import Connection
from ledger.verify.event_checks import fault_at
from ledger.verify.faults import Fault, Kind
from ledger.verify.rows import Row

_ANSWERS = "SELECT key, outcome FROM idempotency_keys WHERE key = ANY(%b)"
# `expire_keys` may be at work, with a clock a little ahead of this one.
SLACK = timedelta(hours=1)


def check_keys(conn: Connection, rows: Sequence[Row]) -> Iterator[Fault]:
    """Yield a fault for each command whose key is gone or answers otherwise. No query where no command has a key."""
    keyed = [(f"{row.metadata.get('actor')}/{key}", row) for row in rows if (key := _key_of(row)) is not None]
    remembered_since = datetime.now(UTC) - timedelta(days=settings.IDEMPOTENCY_KEY_DAYS) + SLACK
    young = [(key, row) for key, row in keyed if row.recorded_at > remembered_since]
    if not young:
        return
    with translated():
        answers = dict(conn.execute(_ANSWERS, ([key for key, _ in young],), binary=True).fetchall())
    for key, row in young:
        if key not in answers:
            yield fault_at(row, Kind.IDEMPOTENCY_KEY, f"the key {key} of its request is gone")
        elif answers[key] != {"command_id": row.command_id, "size": row.command_size}:
            yield fault_at(row, Kind.IDEMPOTENCY_KEY, f"the key {key} of its request answers with {answers[key]}")


def _key_of(row: Row) -> str | None:
    metadata = row.metadata
    is_first = row.command_index == 0 and type(metadata) is dict
    return metadata.get("idempotency_key") if is_first else None
