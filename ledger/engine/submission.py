"""What goes into the engine and what comes out: a submission and its outcome.

A submission is a command with what surrounds it: who, under which key, on which version. An outcome is
`Accepted` with the recorded events or `Rejected` with the error; there is no third.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from ledger.domain.commands import LEFT_OUT_IF_NONE, Command, type_of
from ledger.domain.errors import LedgerError
from ledger.domain.instants import format_instant
from ledger.engine.ids import new_id
from ledger.store.hashing import canonical_json
from ledger.store.recorded import RecordedEvent


@dataclass(frozen=True, slots=True)
class Submission:
    """One command to execute. `expected_version` is that of the command's first account."""

    command: Command
    actor: str
    command_id: UUID = field(default_factory=new_id)
    idempotency_key: str | None = None
    expected_version: int | None = None
    effective_at: datetime | None = None
    correlation_id: str | None = None
    causation_id: str | None = None

    @property
    def command_type(self) -> str:
        return type_of[type(self.command)]

    @property
    def stored_key(self) -> str | None:
        """The key as stored: one actor's keys cannot meet another's."""
        return None if self.idempotency_key is None else f"{self.actor}/{self.idempotency_key}"

    @property
    def own_key(self) -> str:
        """What stands for a key where the caller's does not: no actor has an empty name, so it can meet no other."""
        return f"/{self.command_id}"

    def payload(self) -> dict[str, Any]:
        """Return the command's fields as JSON values; amounts as the decimal strings they mean.

        What is looked up for a command is not compared, and no part of the request.
        """
        payload = {}
        for f in fields(self.command):
            value = getattr(self.command, f.name)
            if f.compare and (value is not None or LEFT_OUT_IF_NONE not in f.metadata):
                payload[f.name] = _json(value)
        return payload

    def request_hash(self, hash_bytes: Callable[[bytes], bytes] = lambda content: sha256(content).digest()) -> bytes:
        """Return the hash of all that makes this the same request; `ledger.engine.sealing` keys it."""
        request = {
            **self.payload(),
            "type": self.command_type,
            "expected_version": self.expected_version,
            "effective_at": None if self.effective_at is None else format_instant(self.effective_at),
        }
        return hash_bytes(canonical_json(request))


@dataclass(frozen=True, slots=True)
class Accepted:
    command_id: UUID
    events: tuple[RecordedEvent, ...]
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    error: LedgerError
    replayed: bool = False


Outcome = Accepted | Rejected


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        # 5, 5.0 and 5.00 are the same amount, so they are the same request. Not normalize(), which rounds.
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, tuple):
        return [{f.name: _json(getattr(leg, f.name)) for f in fields(leg)} for leg in value]
    return value
