"""Where every read model stands, for whoever shows it: the command, the metrics, the dashboard.

`proven_to` is not what the projector says of itself: the running hash stored with the checkpoint is compared
here with the journal's, so it holds for every event up to there, once each, in order. A parked event takes
back the proof from its position on. While the journal does not answer nothing is proven, and nothing is denied.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import orjson
from django.db.models import Count, Min

from projections import source
from projections.models import Checkpoint, ParkedEvent
from projections.projection import registry
from projections.source import NO_HASH

PARKED_SHOWN_MAX = 50
# A projector that works moves a checkpoint or is idle; percentiles older than their window say nothing.
LAG_SHOWN_FOR = timedelta(seconds=60)
# What the last event took says for so long how late a read model is: five frames of the dashboard. Any longer, and one
# that has caught up would go on to be called as late as the last event of its catch-up was.
LAST_COUNTS_FOR = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Standing:
    """`behind`, `is_proven`, `proven_to`, `lag_ms` are None while the journal does not answer.

    `lag_ms`: how old the first event is that is not applied yet; when there is none, what the last one took from
    recorded_at to visible if that was just now, and else 0.
    """

    projection: str
    version: int
    code_version: int
    has_run: bool
    position: int
    behind: int | None
    is_proven: bool | None
    proven_to: int | None
    lag_ms: int | None
    lag_p50_ms: float
    lag_p95_ms: float
    lag_p99_ms: float
    parked: int
    alarm: str
    updated_at: datetime

    @property
    def lag_percentiles_ms(self) -> tuple[float, float, float] | None:
        """The median, the 95th and the 99th percentile of the last minute; None when nothing moved in it."""
        is_recent = datetime.now(UTC) - self.updated_at <= LAG_SHOWN_FOR
        return (self.lag_p50_ms, self.lag_p95_ms, self.lag_p99_ms) if is_recent and self.has_run else None


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
    head = source.head_position()
    causes = ParkedEvent.objects.filter(is_cause=True).order_by("parked_id")[:PARKED_SHOWN_MAX]
    return Overview(head, standings(head), [
        Parked(p.projection, p.position, p.aggregate_id, p.event_type, p.attempts, p.is_cause, p.reason) for p in causes
    ])  # fmt: skip


def standings(head: int | None) -> list[Standing]:
    """Return where each projection stands. `head`: the journal's; None when it does not answer.

    **Raises** StoreUnavailable, when it stops answering meanwhile.
    """
    stored = {checkpoint.projection: checkpoint for checkpoint in Checkpoint.objects.all()}
    waiting = {
        row["projection"]: (row["events"], row["first"])
        for row in ParkedEvent.objects.values("projection").annotate(events=Count("parked_id"), first=Min("position"))
    }
    proofs: dict[int, bytes | None] = {}
    ages_ms: dict[int, int] = {}
    found = []
    for projection in registry():
        checkpoint = stored.get(projection.name) or _before_the_first(projection.name, projection.version)
        if head is not None and checkpoint.position not in proofs:
            proofs[checkpoint.position] = source.running_hash_at(checkpoint.position)
        is_proven = None if head is None else proofs[checkpoint.position] == bytes(checkpoint.running_hash)
        behind = None if head is None else max(0, head - checkpoint.position)
        if behind and checkpoint.position not in ages_ms:
            ages_ms[checkpoint.position] = _age_ms(checkpoint.position + 1)
        parked, first_parked = waiting.get(projection.name, (0, 0))
        complete_to = first_parked - 1 if parked else checkpoint.position
        found.append(Standing(
            projection=checkpoint.projection,
            version=checkpoint.version,
            code_version=projection.version,
            has_run=projection.name in stored,
            position=checkpoint.position,
            behind=behind,
            is_proven=is_proven,
            proven_to=None if is_proven is None else complete_to if is_proven else 0,
            lag_ms=None if behind is None else ages_ms[checkpoint.position] if behind else _last_took_ms(checkpoint),
            lag_p50_ms=checkpoint.lag_p50_ms,
            lag_p95_ms=checkpoint.lag_p95_ms,
            lag_p99_ms=checkpoint.lag_p99_ms,
            parked=parked,
            alarm=checkpoint.alarm,
            updated_at=checkpoint.updated_at,
        ))  # fmt: skip
    return found


def to_json(overview: Overview) -> str:
    return orjson.dumps(asdict(overview), option=orjson.OPT_INDENT_2).decode()


def _age_ms(position: int) -> int:
    """Return how long ago the event at a position was recorded."""
    event = source.read_at(position)
    return max(0, int((datetime.now(UTC) - event.event.recorded_at).total_seconds() * 1000)) if event else 0


def _last_took_ms(checkpoint: Checkpoint) -> int:
    """Return what the last event took from recorded_at to visible, if that was just now."""
    return checkpoint.lag_ms if datetime.now(UTC) - checkpoint.updated_at <= LAST_COUNTS_FOR else 0


def _before_the_first(name: str, version: int) -> Checkpoint:
    return Checkpoint(
        projection=name, version=version, position=0, running_hash=NO_HASH, lag_ms=0, updated_at=datetime.now(UTC)
    )
