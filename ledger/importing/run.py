"""An import: lines in, batches through the engine, an answer for each line, in order.

Every line has an idempotency key, so an import that was ended anywhere is continued by doing it again: what was
carried out is answered as it was then, and the rest is carried out. What is held is one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

from ledger.api.elements import execute_elements, outcome_body, submission_of_element
from ledger.api.submissions import is_key
from ledger.domain.errors import LedgerError, Malformed
from ledger.engine.submission import Accepted, Outcome, Rejected, Submission
from ledger.errors import InternalError
from ledger.importing.keys import DerivedKeys
from ledger.importing.lines import Line
from ledger.importing.rehearsal import Rehearsal


@dataclass(frozen=True, slots=True)
class Options:
    """`run`: goes into the keys of lines that bring none."""

    actor: str
    batch_size: int
    run: str = ""
    is_atomic: bool = False
    is_dry_run: bool = False
    stops_on_error: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """One line with what became of it. `idempotency_key`: None where a malformed line shows none."""

    line: Line
    idempotency_key: str | None
    outcome: Outcome

    @property
    def error(self) -> LedgerError | None:
        return self.outcome.error if isinstance(self.outcome, Rejected) else None

    def body(self) -> dict[str, Any]:
        return {"line": self.line.number, "idempotency_key": self.idempotency_key, **outcome_body(self.outcome)}


@dataclass(slots=True)
class Tally:
    """How many lines there were, and what became of them. `replayed`: of those accepted, before this run."""

    lines: int = 0
    accepted: int = 0
    replayed: int = 0
    rejected: int = 0
    malformed: int = 0

    def add(self, answered: Answered) -> None:
        self.lines += 1
        match answered.outcome:
            case Accepted(replayed=replayed):
                self.accepted += 1
                self.replayed += replayed
            case Rejected(error=Malformed()):
                self.malformed += 1
            case Rejected():
                self.rejected += 1

    @property
    def is_clean(self) -> bool:
        return self.accepted == self.lines

    def __str__(self) -> str:
        return (
            f"{self.lines} lines: {self.accepted} accepted ({self.replayed} of them before), "
            f"{self.rejected} rejected, {self.malformed} malformed"
        )


Entry = Submission | LedgerError


def import_lines(
    lines: Iterable[Line], options: Options, is_stopped: Callable[[], bool] = lambda: False
) -> Iterator[list[Answered]]:
    """Yield the answers of each batch, which is written by then.

    Raises: Busy or StoreUnavailable: importing the same lines again goes on where this ended. InternalError: a defect.
    """
    with DerivedKeys(options.run) as keys, Rehearsal() as rehearsal:
        engine = partial(rehearsal.execute, atomic=options.is_atomic) if options.is_dry_run else None
        for batch in _batches(lines, options, keys):
            entries = [entry for _, entry in batch]
            outcomes = execute_elements(
                entries, is_atomic=options.is_atomic, is_dry_run=options.is_dry_run, engine=engine
            )
            answers = [
                Answered(line, _key_of(line, entry, options.actor), outcome)
                for (line, entry), outcome in zip(batch, outcomes, strict=True)
            ]
            done = list(takewhile(lambda answered: not _is_put_off(answered), answers))
            if done:
                yield done
            if put_off := answers[len(done) :]:
                raise put_off[0].error or AssertionError("what is put off has a reason")
            if is_stopped() or (options.stops_on_error and any(answered.error for answered in answers)):
                return


def _is_put_off(answered: Answered) -> bool:
    """Return whether the engine gave up before this line, or failed there, some of whose batch it has written."""
    error = answered.error
    return error is not None and (error.retryable or isinstance(error, InternalError))


def _batches(lines: Iterable[Line], options: Options, keys: DerivedKeys) -> Iterator[list[tuple[Line, Entry]]]:
    """Yield full batches, and what is left; one that is to stop on errors ends at a malformed line."""
    batch: list[tuple[Line, Entry]] = []
    for line in lines:
        entry = _entry(line, options.actor, keys)
        batch.append((line, entry))
        must_end = options.stops_on_error and isinstance(entry, LedgerError)
        if must_end or len(batch) == options.batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _entry(line: Line, actor: str, keys: DerivedKeys) -> Entry:
    if isinstance(line.content, LedgerError):
        return line.content
    entry = submission_of_element(line.content, actor)
    return keys.keyed(entry) if isinstance(entry, Submission) else entry


def _key_of(line: Line, entry: Entry, actor: str) -> str | None:
    """Return a line's key: a malformed line has the one that it brings, if it can be read and is one."""
    if isinstance(entry, Submission):
        return entry.idempotency_key
    key = line.content.get("idempotency_key") if isinstance(line.content, dict) else None
    return key if isinstance(key, str) and is_key(key, actor) else None
