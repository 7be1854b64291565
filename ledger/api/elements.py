"""Commands as they come in numbers: an element is a command's fields with its `type`, and its key if it has one.

A batch over HTTP and a file that is imported are lists of the same elements, executed and answered here in the
same way; so what one of them takes, the other takes too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from chronicle.roles import Role
from ledger.api.commands import accepted_body
from ledger.api.errors import MissingField
from ledger.api.problems import body_of
from ledger.api.submissions import FORMS, submission_of
from ledger.bus.nudge import nudge
from ledger.domain.errors import InvalidField, LedgerError
from ledger.engine.execute import execute
from ledger.engine.submission import Outcome, Rejected, Submission
from ledger.errors import BatchAborted


def submission_of_element(element: Any, actor: str, roles: Collection[Role] = ()) -> Submission | LedgerError:
    """Return what an element asks for, or why it never can be carried out. `roles`: of the actor; a file has none."""
    try:
        if not isinstance(element, dict):
            raise InvalidField("a command of a batch is an object", field="commands")
        fields = dict(element)
        command_type, key = fields.pop("type", None), fields.pop("idempotency_key", None)
        if command_type is None:
            raise MissingField("type is missing", field="type")
        if not isinstance(command_type, str) or command_type not in FORMS:
            raise InvalidField("there is no such command", field="type", types=list(FORMS))
        if key is not None and not isinstance(key, str):
            raise InvalidField("idempotency_key is a string", field="idempotency_key")
        return submission_of(command_type, fields, actor, key, roles)
    except LedgerError as error:
        return error


Engine = Callable[[Sequence[Submission]], list[Outcome]]


def execute_elements(
    entries: Sequence[Submission | LedgerError], *, is_atomic: bool, is_dry_run: bool, engine: Engine | None = None
) -> list[Outcome]:
    """Return an outcome each; what is malformed is never shown to the engine. `engine`: in place of the real one.

    Raises: Busy or StoreUnavailable; under the same idempotency keys, asking again is safe.
    """
    well_formed = [entry for entry in entries if isinstance(entry, Submission)]
    if is_atomic and len(well_formed) < len(entries):
        aborted = BatchAborted("another command of this batch is malformed")
        return [Rejected(entry if isinstance(entry, LedgerError) else aborted) for entry in entries]
    if engine is None:
        engine = partial(execute, atomic=is_atomic, dry_run=is_dry_run, on_commit=nudge)
    executed = iter(engine(well_formed) if well_formed else [])
    return [next(executed) if isinstance(entry, Submission) else Rejected(entry) for entry in entries]


def outcome_body(outcome: Outcome) -> dict[str, Any]:
    """Return the answer or the problem that an outcome is, as one object."""
    if isinstance(outcome, Rejected):
        return {"success": False, **body_of(outcome.error, replayed=outcome.replayed)}
    return accepted_body(outcome)
