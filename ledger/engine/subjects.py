"""Whose an account is: noted in the portal's database before the account's first event is appended.

Who would erase a person finds every account of theirs that the ledger has accepted, as the note commits first. A note
whose account never came to be counts for nothing: it names the command, and no event is of that command.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.domain.account import Account
from ledger.domain.commands import CreateAccount
from ledger.engine.submission import Accepted, Outcome, Submission
from ledger.store import event_store
from ledger.store.recorded import event_id_of
from ledger.subjects import belonging
from ledger.subjects.belonging import Belonging


def note_subjects(submissions: Sequence[Submission], outcomes: Sequence[Outcome]) -> None:
    """Put on record whose the accounts are that are about to be created. Raises: KeysUnavailable.

    **Shape** one round trip when there are any with a `subject_id`, none otherwise.
    """
    notes = [
        Belonging(submission.command_id, submission.command.account_id, submission.command.subject_id)
        for submission, outcome in zip(submissions, outcomes, strict=True)
        if isinstance(submission.command, CreateAccount)
        and submission.command.subject_id is not None
        and isinstance(outcome, Accepted)
        and not outcome.replayed
    ]
    if notes:
        belonging.note(notes)


def accounts_of(subject_id: str) -> list[str]:
    """Return the accounts of a subject in the order of their ids; an account that names no subject is its own.

    Raises: KeysUnavailable, StoreUnavailable.
    """
    accounts = {note.account_id for note in _true(belonging.of_subject(subject_id))}
    if isinstance(event_store.read([subject_id]).heads[subject_id].state, Account):
        accounts |= {subject_id} if subject_of(subject_id) == subject_id else set()
    return sorted(accounts)


def subject_of(account_id: str) -> str:
    """Return whose an account is. Raises: KeysUnavailable, StoreUnavailable."""
    return next((note.subject_id for note in _true(belonging.of_account(account_id))), account_id)


def _true(notes: Sequence[Belonging]) -> list[Belonging]:
    """Return the notes whose command did create the account."""
    if not notes:
        return []
    events = event_store.read_events({event_id_of(note.command_id, 0) for note in notes})
    return [note for note in notes if event_id_of(note.command_id, 0) in events]
