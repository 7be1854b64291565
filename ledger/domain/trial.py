"""Tries events as they travel in evidence: every state is replayed, and every command that is whole decided again.

It travels in a bundle with the rest of the rules, and takes what the bundle holds: JSON objects, in any order,
perhaps not all events of an aggregate or of a command. What cannot be tried for that reason is passed over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ledger.domain.aggregates import BY_TYPE, State
from ledger.domain.events import from_data
from ledger.domain.judge import Recorded, judge

Json = dict[str, Any]
Key = tuple[str, int]


class Illegal(Exception):
    """The rules do not lead to an event; the sentence says which."""


def try_events(events: Sequence[Json]) -> tuple[int, int]:
    """Return how many states were replayed and how many commands decided again. Raises: Illegal."""
    by_key = {_key(event): event for event in events}
    before = _replayed(by_key)
    commands: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        commands[event["metadata"]["command_id"]].append(event)
    tried = 0
    for command_id, parts in commands.items():
        parts.sort(key=lambda event: event["metadata"]["command_index"])
        if len(parts) != parts[0]["metadata"]["command_size"] or not all(_key(part) in before for part in parts):
            continue  # not all of it is here
        if reason := _judged(command_id, parts, before):
            raise Illegal(f"command {command_id} would have been refused: {reason}")
        tried += 1
    return len(before), tried


def _replayed(by_key: dict[Key, Json]) -> dict[Key, State | None]:
    """Return the state before each event whose predecessor is here. Raises: Illegal when the one after differs."""
    before: dict[Key, State | None] = {}
    for (id_, version), event in by_key.items():
        previous = by_key.get((id_, version - 1))
        if version > 1 and previous is None:
            continue
        aggregate = BY_TYPE[event["aggregate_type"]]
        before[id_, version] = aggregate.read(previous["state"]) if previous else None
        fact = from_data(event["event_type"], event["data"], event["schema_version"])
        if aggregate.evolve(before[id_, version], fact, event["effective_at"]) != aggregate.read(event["state"]):
            raise Illegal(f"{id_} version {version}: replaying gives another state")
    return before


def _judged(command_id: str, parts: list[Json], before: dict[Key, State | None]) -> str | None:
    states: dict[str, State | None] = {}
    for part in parts:
        states.setdefault(part["aggregate_id"], before[_key(part)])
    recorded = [Recorded(e["aggregate_id"], e["event_type"], e["schema_version"], e["data"]) for e in parts]
    first = parts[0]
    command_type = first["metadata"]["command_type"]
    return judge(command_type, recorded, states, command_id, first["effective_at"], first["recorded_at"])


def _key(event: Json) -> Key:
    return event["aggregate_id"], event["version"]
