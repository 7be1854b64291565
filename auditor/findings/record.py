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
from ledger.domain.events import RESERVED_PREFIXES
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
    subject_id = _known_subject(kind, subject_id)
    note, now = _sealed(note, kind, subject_id), timezone.now()
    about = {"kind": kind, "subject_id": subject_id}
    with transaction.atomic():
        finding = Finding.objects.create(**about, note=note, state=state, opened_by=user, opened_at=now, changed_at=now)
        FindingChange.objects.create(finding=finding, state=state, note=note, changed_by=user, at=now)
    return finding


def change_finding(user: Any, finding: Finding, note: str, state: str, seen: str) -> None:
    """Add a step to a finding that has none after the one that was seen, the newest. Raises: InvalidFinding.

    **Why** `seen`: of two who write at once the second would undo a state without having read why it was set.
    """
    _check(note, state)
    note = _sealed(note, finding.kind, finding.subject_id)
    with transaction.atomic():
        # One after the other, so that what the finding says is what its newest step says.
        Finding.objects.select_for_update().get(pk=finding.pk)
        if seen != str(newest_step(finding)):
            raise InvalidFinding(
                "note", "Somebody took it further meanwhile: read that, and add yours if it still holds."
            )
        now = timezone.now()
        FindingChange.objects.create(finding=finding, state=state, note=note, changed_by=user, at=now)
        Finding.objects.filter(pk=finding.pk).update(state=state, note=note, changed_at=now)


def newest_step(finding: Finding) -> int:
    """Return what a step that is to be added names as the last one seen."""
    return int(FindingChange.objects.filter(finding=finding).latest("pk").pk)


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


def _known_subject(kind: str, subject_id: str) -> str:
    """Return the id as it is written where it is looked for. Raises: InvalidFinding, also for what is not there."""
    if kind not in KINDS:
        raise InvalidFinding("kind", "A finding is about an account or an event.")
    try:
        known = _account(subject_id) if kind == ACCOUNT else _event(subject_id)
    except StoreUnavailable as error:
        raise InvalidFinding("subject", "The event store does not answer: try again.") from error
    if known is None:
        raise InvalidFinding("subject", f"There is no {kind} {subject_id!r}.")
    return known


def _account(account_id: str) -> str | None:
    is_account = not account_id.startswith(RESERVED_PREFIXES) and history.head_version(account_id) > 0
    return account_id if is_account else None


def _event(event_id: str) -> str | None:
    try:
        known = UUID(event_id)
    except ValueError:
        return None
    return str(known) if history.find_event(known) is not None else None
