"""One attempt at a list of commands, in memory: decides each on the state its neighbours before it left.

The plan starts from a snapshot of the store, advances the heads as commands are accepted, and collects the
rows to append. It writes nothing itself, so a dry run is a plan that is not appended.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid5

from ledger.domain import aggregates
from ledger.domain.decide import Context, Decided, decide
from ledger.domain.errors import LedgerError, Refused, VersionConflict
from ledger.domain.events import to_data
from ledger.domain.instants import MICROSECOND, format_instant
from ledger.engine.replay import from_stored, to_stored
from ledger.engine.sealing import Sealer
from ledger.engine.submission import Accepted, Outcome, Rejected, Submission
from ledger.errors import BatchAborted, IdempotencyKeyReused
from ledger.store.append import Append
from ledger.store.event_store import Head, Snapshot
from ledger.store.hashing import NO_HASH
from ledger.store.recorded import RecordedEvent, event_id_of, event_ids_of, sealed
from ledger.store.refusals import Refusal


class Plan:
    def __init__(self, snapshot: Snapshot, sealer: Sealer, *, atomic: bool, is_unheard: bool = False) -> None:
        """`is_unheard`: an earlier attempt at these very commands may have been written, or may be yet."""
        self.outcomes: list[Outcome] = []
        self.rows = Append()
        self._snapshot = snapshot
        self._heads = snapshot.heads
        self._atomic, self._is_unheard = atomic, is_unheard
        self._sealer = sealer
        self.advanced: dict[str, Head] = {}  # the heads that the plan leaves, of the aggregates it writes to

    def add(self, submission: Submission) -> Outcome:
        """Decide one more command, note its outcome and return it."""
        outcome = self._committed_before(submission)
        if outcome is None:
            outcome = self._replayed(submission)
        if outcome is None:
            sealed_submission = self._sealer.sealed(submission)
            outcome = self._decided(sealed_submission)
            self._remember(submission, sealed_submission, outcome)
        self.outcomes.append(outcome)
        return outcome

    def finish(self) -> None:
        """Undo everything when all-or-nothing was asked for and somebody was rejected; refusals stay recorded."""
        if not self._atomic or not any(isinstance(outcome, Rejected) for outcome in self.outcomes):
            return
        # By what would have been written: a key that comes twice makes a replay of what is undone here.
        undone = {command_id for command_id, _ in self.rows.commands}
        refused = {f"/{refusal.command_id}" for refusal in self.rows.refusals}
        self.rows.commands, self.advanced = [], {}
        self.rows.keys = [row for row in self.rows.keys if row[0] in refused]
        aborted = Rejected(BatchAborted("another command of this batch was rejected"))
        self.outcomes = [
            aborted if isinstance(outcome, Accepted) and outcome.command_id in undone else outcome
            for outcome in self.outcomes
        ]

    def _committed_before(self, submission: Submission) -> Outcome | None:
        """An earlier attempt of this very call whose COMMIT went through unheard."""
        events = self._snapshot.events
        first = events.get(event_id_of(submission.command_id, 0)) if events else None
        if first is None:
            return None
        ids = (event_id_of(submission.command_id, index) for index in range(first.metadata["command_size"]))
        return Accepted(submission.command_id, tuple(events[id_] for id_ in ids))

    def _replayed(self, submission: Submission) -> Outcome | None:
        key = submission.stored_key
        if key is None or key not in self._snapshot.keys:
            return self._refused_before(submission)
        request_hash, stored = self._snapshot.keys[key]
        if not self._sealer.is_same_request(submission, request_hash):
            detail = "this idempotency key was used for another request"
            return Rejected(IdempotencyKeyReused(detail, idempotency_key=submission.idempotency_key))
        return from_stored(stored, self._snapshot.events)

    def _refused_before(self, submission: Submission) -> Outcome | None:
        """An earlier attempt of this very call whose refusal went on record unheard."""
        if not self._is_unheard or submission.own_key not in self._snapshot.keys:
            return None
        outcome = from_stored(self._snapshot.keys[submission.own_key][1], self._snapshot.events)
        return replace(outcome, replayed=False)

    def _decided(self, submission: Submission) -> Outcome:
        aggregate_ids = submission.command.aggregate_ids
        heads = [self._heads[aggregate_id] for aggregate_id in aggregate_ids]
        recorded_at = self._recorded_at(heads)
        effective_at = submission.effective_at or recorded_at
        context = Context(str(submission.command_id), effective_at, recorded_at)
        try:
            _check_version(submission, heads[0])
            state = {id_: head.state for id_, head in zip(aggregate_ids, heads, strict=True)}
            events = self._record(submission, decide(submission.command, state, context), context)
        except LedgerError as error:
            return Rejected(error)
        return Accepted(submission.command_id, tuple(events))

    def _recorded_at(self, heads: list[Head]) -> datetime:
        """One instant per command, rising within every aggregate it touches, whatever the clock does."""
        lasts = [head.recorded_at + MICROSECOND for head in heads if head.recorded_at is not None]
        return max([self._snapshot.now, *lasts])

    def _record(self, submission: Submission, decided: list[Decided], context: Context) -> list[RecordedEvent]:
        effective_text = format_instant(context.effective_at)
        metadata = _metadata(submission, context.command_id, len(decided))
        event_ids = event_ids_of(submission.command_id, len(decided))
        events, after = [], dict[str, Head]()  # no head moves before every event of the command is sealed
        for index, (aggregate_id, event) in enumerate(decided):
            aggregate = aggregates.of_id(aggregate_id)
            head = after.get(aggregate_id) or self._heads.get(aggregate_id) or Head()  # or named after this command
            state = aggregate.evolve(head.state, event, effective_text)
            # By place, in the order of its fields: by name it takes three times as long.
            recorded = sealed(
                RecordedEvent._make(
                    (
                        event_ids[index],
                        aggregate.type,
                        aggregate_id,
                        head.version + 1,
                        type(event).__name__,
                        event.schema_version,
                        to_data(event),
                        {**metadata, "command_index": index},
                        aggregate.write(state),
                        context.recorded_at,
                        context.effective_at,
                        head.hash,
                        NO_HASH,
                    )
                )
            )
            after[aggregate_id] = Head(recorded.version, state, recorded.hash, context.recorded_at)
            events.append(recorded)
        self._heads.update(after)
        self.advanced.update(after)
        return events

    def _remember(self, submission: Submission, sealed_submission: Submission, outcome: Outcome) -> None:
        if isinstance(outcome, Accepted):
            self.rows.commands.append((submission.command_id, list(outcome.events)))
        elif isinstance(outcome.error, Refused):
            self.rows.refusals.append(_refusal(sealed_submission, outcome.error))
        else:
            return
        is_keyless = submission.stored_key is None or self._atomic  # an aborted call takes its callers' keys back
        is_own = is_keyless and (self._is_unheard or isinstance(outcome, Rejected))
        if submission.stored_key is None and not is_own:
            return
        stored, request_hash = to_stored(outcome), self._sealer.request_hash(submission)
        if is_own:
            # Of an attempt that refuses and one that accepts, when the first was never heard, one gets this row.
            self.rows.keys.append((submission.own_key, request_hash, stored))
        if submission.stored_key is None:
            return
        self.rows.keys.append((submission.stored_key, request_hash, stored))
        # The same key again, further on in this call, is answered as it would be in the next.
        self._snapshot.keys[submission.stored_key] = (request_hash, stored)
        if isinstance(outcome, Accepted):
            self._snapshot.events.update((event.event_id, event) for event in outcome.events)


def _check_version(submission: Submission, head: Head) -> None:
    expected = submission.expected_version
    if expected is not None and head.version and expected != head.version:
        raise VersionConflict(
            f"{submission.command.aggregate_ids[0]} is at version {head.version}, expected {expected}",
            account_id=submission.command.aggregate_ids[0],
            version=head.version,
            expected_version=expected,
        )


def _metadata(submission: Submission, command_id: str, size: int) -> dict[str, Any]:
    """Return what the events of a command share; `command_index` is added to each."""
    return {
        "actor": submission.actor,
        "causation_id": submission.causation_id,
        "command_id": command_id,
        "command_size": size,
        "command_type": submission.command_type,
        "correlation_id": submission.correlation_id or command_id,
        "idempotency_key": submission.idempotency_key,
    }


def _refusal(submission: Submission, error: LedgerError) -> Refusal:
    return Refusal(
        # The same at every attempt, so that one whose COMMIT went through unheard is not on record twice.
        refusal_id=uuid5(submission.command_id, "refusal"),
        command_id=submission.command_id,
        command_type=submission.command_type,
        command=submission.payload(),
        actor=submission.actor,
        code=error.code,
        detail=error.detail,
    )
