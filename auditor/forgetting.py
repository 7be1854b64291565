"""What the portal itself forgets of an erased subject: old notes in plain, and names that somebody searched for.

Notes are sealed under the subject's key and go with it; what was noted before they were sealed is cleared here. An
owner's name may also stand in addresses (a list that was narrowed to it, then exported or left for a page) on record
in the access log and in jobs: the rows stay, the words go. To be called while the name can still be read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from urllib.parse import parse_qsl, urlencode

from django.db import transaction
from django.db.models import Q

from auditor.access_log import ACCOUNT, EVENT, PATH_LENGTH_MAX
from auditor.models import AccessLogEntry, Finding, FindingChange, Job
from ledger.domain.account import ERASED
from ledger.models import Event
from ledger.subjects.seal import PREFIX

# What people type names into: the lists' search; the text that the live page and statements are narrowed to.
SEARCHES, KEPT_FILTERS = ("q", "text"), "_changelist_filters"
# A shorter part of a name is in everybody's.
PART_LENGTH_MIN = 3
BATCH = 1_000


def forget(account_ids: Collection[str], owner_names: Collection[str]) -> int:
    """Clear what the portal has in plain of these accounts and names; return how many rows were changed."""
    with transaction.atomic():
        return _clear_notes(account_ids) + sum(_clear_names(name) for name in owner_names if name != ERASED)


def _clear_notes(account_ids: Collection[str]) -> int:
    findings = Finding.objects.filter(kind=ACCOUNT, subject_id__in=account_ids).values_list("pk", flat=True)
    about = [*findings, *_about_events(account_ids)]
    plain = ~Q(note__startswith=PREFIX) & ~Q(note=ERASED)
    steps = FindingChange.objects.filter(plain, finding__in=about).update(note=ERASED)
    return steps + Finding.objects.filter(plain, pk__in=about).update(note=ERASED)


def _about_events(account_ids: Collection[str]) -> Iterator[int]:
    """Yield the findings about events of the accounts; which those are only the event store says."""
    by_event: dict[str, list[int]] = {}
    for pk, event_id in Finding.objects.filter(kind=EVENT).values_list("pk", "subject_id"):
        by_event.setdefault(event_id, []).append(pk)
    ids = list(by_event)
    for start in range(0, len(ids), BATCH):
        chosen = Event.objects.filter(event_id__in=ids[start : start + BATCH], aggregate_id__in=account_ids)
        for event in chosen.only("event_id"):
            yield from by_event[str(event.event_id)]


def _clear_names(name: str) -> int:
    changed = 0
    for job in Job.objects.filter(options__has_key="query").iterator(BATCH):
        query = _without(job.options["query"], name)
        if query != job.options["query"]:
            changed += Job.objects.filter(pk=job.pk).update(options={**job.options, "query": query})
    # A list's own filters travel along to the page of a row, encoded once more.
    searched = Q()
    for key in SEARCHES:
        searched |= Q(path__contains=f"{key}=") | Q(path__contains=f"{key}%3D")
    for entry in AccessLogEntry.objects.filter(searched).iterator(BATCH):
        address, mark, query = entry.path.partition("?")
        if (left := _without(query, name)) != query:
            changed += AccessLogEntry.objects.filter(pk=entry.pk).update(
                path=f"{address}{mark}{left}"[:PATH_LENGTH_MAX]
            )
    return changed


def _without(query: str, name: str) -> str:
    """Return a query string whose search terms are no part of a name; the same text when none was."""
    pairs = parse_qsl(query, keep_blank_values=True)
    left = [(key, _cleared(key, value, name)) for key, value in pairs]
    return query if left == pairs else urlencode(left)


def _cleared(key: str, value: str, name: str) -> str:
    if key == KEPT_FILTERS:
        return _without(value, name)
    term, whole = value.strip().casefold(), name.casefold()
    is_part = len(term) >= PART_LENGTH_MIN and (whole in term or all(word in whole for word in term.split()))
    return ERASED if key in SEARCHES and is_part else value
