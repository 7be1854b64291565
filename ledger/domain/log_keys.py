"""The keys of the log: which ones have signed its heads, in order. One aggregate, `LOG_KEYS`.

Its events lie in the log like any other, so the log itself says which key signs from where on. That the old
key and the new one both signed a change is checked where keys are known (`ledger.store.succession`): nothing
in the domain knows cryptography.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ledger.domain.events import Event, LogKeyRotated

AGGREGATE_TYPE = "log"


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Verifier keys, the first one first; the last is the current one."""

    keys: tuple[str, ...]


def evolve(log_keys: LogKeys | None, event: Event, effective_at: str) -> LogKeys:
    """Return the keys after one more change. The first change names the log's first key too."""
    assert isinstance(event, LogKeyRotated), f"{type(event).__name__} is not an event of the log's keys"
    before = (event.old_key,) if log_keys is None else log_keys.keys
    return LogKeys((*before, event.new_key))


def to_state(log_keys: LogKeys) -> dict[str, Any]:
    """Return the keys as the JSON object stored in `events.state`."""
    return {"keys": list(log_keys.keys)}


def from_state(state: dict[str, Any]) -> LogKeys:
    return LogKeys(tuple(state["keys"]))
