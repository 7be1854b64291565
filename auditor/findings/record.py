"""Opens findings and takes them further. Every step is kept; the finding's own row says the newest.

Notes are stored sealed (`auditor.findings.notes`), so what they say goes when their subject is erased.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from auditor.access_log import ACCOUNT, EVENT
from auditor.findings.notes import sealed_note
from auditor.models import Finding, FindingChange
from ledger.errors import StoreUnavailable
from ledger.store import history

NOTE_LENGTH_MAX = 4_000
KINDS = (ACCOUNT, EVENT)


class InvalidFinding(Exception):
    """What was filled in cannot be recorded; the sentence says why. `field` is where."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


def open_finding(user: Any, kind: str, subject_id: str, note: str, state: str = Finding.State.OPEN) -> Finding:
    """Record a new finding. Raises: InvalidFinding."""
    _check(note, state)
    _check_subject(kind, subject_id)
    note, now = _sealed(note, kind, subject_id), timezone.now()
    about = {"kind": kind, "subject_id": subject_id}
    with transaction.atomic():
        finding = Finding.objects.create(**about, note=note, state=state, opened_by=user, opened_at=now, changed_at=now)
        FindingChange.objects.create(finding=finding, state=state, note=note, changed_by=user, at=now)
    return finding


def change_finding(user: Any, finding: Finding, note: str, state: str) -> None:
    """Add a step to a finding. Raises: InvalidFinding."""
    _check(note, state)
    note, now = _sealed(note, finding.kind, finding.subject_id), timezone.now()
    with transaction.atomic():
        FindingChange.objects.create(finding=finding, state=state, note=note, changed_by=user, at=now)
        Finding.objects.filter(pk=finding.pk).update(state=state, note=note, changed_at=now)


def _check(note: str, state: str) -> None:
    if not note.strip():
        raise InvalidFinding("note", "A note says what was found.")
    if len(note) > NOTE_LENGTH_MAX:
        raise InvalidFinding("note", f"A note has at most {NOTE_LENGTH_MAX:,} characters.")
    if state not in Finding.State.values:
        raise InvalidFinding("state", f"A state is one of {', '.join(Finding.State.values)}.")


def _sealed(note: str, kind: str, subject_id: str) -> str:
    try:
        return sealed_note(note.strip(), kind, subject_id)
    except StoreUnavailable as error:
        raise InvalidFinding("note", "The keys that notes are sealed under cannot be had: try again.") from error


def _check_subject(kind: str, subject_id: str) -> None:
    if kind not in KINDS:
        raise InvalidFinding("kind", "A finding is about an account or an event.")
    try:
        if not _exists(kind, subject_id):
            raise InvalidFinding("subject", f"There is no {kind} {subject_id!r}.")
    except StoreUnavailable as error:
        raise InvalidFinding("subject", "The event store does not answer: try again.") from error


def _exists(kind: str, subject_id: str) -> bool:
    if kind == ACCOUNT:
        return history.head_version(subject_id) > 0
    try:
        return history.find_event(UUID(subject_id)) is not None
    except ValueError:
        return False
