"""Where every read model stands, for whoever shows it: the command, the metrics, the dashboard.

`proven_to` is not what the projector says of itself: the running hash stored with the checkpoint is compared
here with the journal's, so it holds for every event up to there, once each, in order. A parked event takes
back the proof from its position on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import orjson

from projections import source
from projections.models import Checkpoint, ParkedEvent
from projections.projection import registry
from projections.source import NO_HASH

PARKED_SHOWN_MAX = 50


@dataclass(frozen=True, slots=True)
class Standing:
    projection: str
    version: int
    code_version: int
    position: int
    behind: int
    is_proven: bool
    proven_to: int
    lag_ms: int
    lag_p50_ms: float
    lag_p95_ms: float
    lag_p99_ms: float
    parked: int
    alarm: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Parked:
    projection: str
    position: int
    aggregate_id: str
    event_type: str
    attempts: int
    is_cause: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Overview:
    """`parked`: the first PARKED_SHOWN_MAX of those that are a cause; each Standing counts all."""

    head: int
    projections: list[Standing]
    parked: list[Parked]

    @property
    def is_well(self) -> bool:
        return all(s.is_proven and not s.alarm and not s.parked for s in self.projections)


def read() -> Overview:
    """Read every projection's standing. Raises: StoreUnavailable when the journal does not answer."""
    stored = {checkpoint.projection: checkpoint for checkpoint in Checkpoint.objects.all()}
    head = source.head_position()
    parked: dict[str, list[int]] = {}
    for name, position in ParkedEvent.objects.values_list("projection", "position").order_by("position"):
        parked.setdefault(name, []).append(position)
    proofs: dict[int, bytes | None] = {}
    standings = []
    for projection in registry():
        checkpoint = stored.get(projection.name) or _before_the_first(projection.name, projection.version)
        if checkpoint.position not in proofs:
            proofs[checkpoint.position] = source.running_hash_at(checkpoint.position)
        waiting = parked.get(projection.name, [])
        standings.append(_standing(checkpoint, projection.version, head, proofs[checkpoint.position], waiting))
    causes = ParkedEvent.objects.filter(is_cause=True).order_by("parked_id")[:PARKED_SHOWN_MAX]
    return Overview(head, standings, [
        Parked(p.projection, p.position, p.aggregate_id, p.event_type, p.attempts, p.is_cause, p.reason) for p in causes
    ])  # fmt: skip


def to_json(overview: Overview) -> str:
    return orjson.dumps(asdict(overview), option=orjson.OPT_INDENT_2).decode()


def _standing(checkpoint: Checkpoint, code_version: int, head: int, proof: bytes | None, parked: list[int]) -> Standing:
    is_proven = proof is not None and bytes(checkpoint.running_hash) == proof
    complete_to = parked[0] - 1 if parked else checkpoint.position
    return Standing(
        projection=checkpoint.projection,
        version=checkpoint.version,
        code_version=code_version,
        position=checkpoint.position,
        behind=max(0, head - checkpoint.position),
        is_proven=is_proven,
        proven_to=complete_to if is_proven else 0,
        lag_ms=checkpoint.lag_ms,
        lag_p50_ms=checkpoint.lag_p50_ms,
        lag_p95_ms=checkpoint.lag_p95_ms,
        lag_p99_ms=checkpoint.lag_p99_ms,
        parked=len(parked),
        alarm=checkpoint.alarm,
        updated_at=checkpoint.updated_at,
    )


def _before_the_first(name: str, version: int) -> Checkpoint:
    return Checkpoint(
        projection=name, version=version, position=0, running_hash=NO_HASH, lag_ms=0, updated_at=datetime.now(UTC)
    )
