"""Tries events as they travel in evidence: every state is replayed, and every command that is whole decided again.

It travels in a bundle with the rest of the rules, and takes what the bundle holds: JSON objects, in any order,
perhaps not all events of an aggregate or of a command. What cannot be tried for that reason is passed over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ledger.domain.aggregates import BY_TYPE, State
from ledger.domain.events import REVERSAL, AccountCreated, from_data
from ledger.domain.judge import FindCurrency, Recorded, at_odds, judge
from ledger.domain.original import Original, original_of

Json = dict[str, Any]
Key = tuple[str, int]
CREATED = AccountCreated.__name__


class Illegal(Exception):
    """The rules do not lead to an event; the sentence says which."""


def try_events(events: Sequence[Json]) -> tuple[int, int, int]:
    """Return how many states were replayed, how many commands decided again, and of how many the target is not here.

    A transfer in steps touches its target only when it is settled, so the target may well have nothing among the
    events: whether it was ever opened, only the whole log says. Raises: Illegal.
    """
    by_key = {_key(event): event for event in events}
    before = _replayed(by_key)
    commands = _whole_commands(events)
    tried, unseen = 0, set[str]()

    def find_currency(account_id: str, assumed: str) -> str | None:
        created = by_key.get((account_id, 1))
        if created is None:
            unseen.add(command_id)
            return assumed
        is_before = created["recorded_at"] < parts[0]["recorded_at"]
        return created["data"]["currency"] if created["event_type"] == CREATED and is_before else None

    for command_id, parts in commands.items():
        is_followed = all(_key(part) in before for part in parts)
        if not is_followed or not _reversed_by(parts) <= commands.keys():
            continue  # what it follows or takes back is not here
        if reason := _judged(command_id, parts, before, commands, find_currency):
            raise Illegal(f"command {command_id} would have been refused: {reason}")
        tried += 1
    return len(before), tried, len(unseen)


def _whole_commands(events: Sequence[Json]) -> dict[str, list[Json]]:
    """Return the commands whose events are all here, each in order."""
    commands: dict[str, list[Json]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event["metadata"]["command_index"]):
        commands[event["metadata"]["command_id"]].append(event)
    return {id_: parts for id_, parts in commands.items() if len(parts) == parts[0]["metadata"]["command_size"]}


def _reversed_by(parts: list[Json]) -> set[str]:
    """Return the ids of the commands that these events say were reversed."""
    ids = (part["aggregate_id"] for part in parts)
    return {id_.removeprefix(REVERSAL) for id_ in ids if id_.startswith(REVERSAL)}


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


def _judged(command_id: str, parts: list[Json], before: dict[Key, State | None],
            commands: dict[str, list[Json]], find_currency: FindCurrency) -> str | None:  # fmt: skip
    def find_original(id_: str) -> Original:
        stored = ("event_id", "aggregate_id", "event_type", "data", "schema_version")
        return original_of(id_, ([event[name] for name in stored] for event in commands[id_]))

    if different := at_odds([(part["recorded_at"], part["effective_at"], part["metadata"]) for part in parts]):
        return different
    states: dict[str, State | None] = {}
    for part in parts:
        states.setdefault(part["aggregate_id"], before[_key(part)])
    recorded = [Recorded(e["aggregate_id"], e["event_type"], e["schema_version"], e["data"]) for e in parts]
    first = parts[0]
    instants = (first["effective_at"], first["recorded_at"])
    return judge(
        first["metadata"]["command_type"], recorded, states, command_id, *instants, find_original, find_currency
    )


def _key(event: Json) -> Key:
    return event["aggregate_id"], event["version"]
