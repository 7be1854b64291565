"""What the portal itself forgets of an erased subject: old notes in plain, and words that somebody searched for.

Notes are sealed under the subject's key and go with it; what was noted before they were sealed is cleared here. An
owner's name, or a description, may also stand in addresses (a list that was narrowed to it, then exported or left for
a page) on record in the access log and in jobs: the rows stay, the words go. To be called while they can still be read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from urllib.parse import parse_qsl, urlencode

from django.db import connection, transaction
from django.db.models import Model, Q

from auditor.access_log import ACCOUNT, EVENT, PATH_LENGTH_MAX
from auditor.models import AccessLogEntry, Finding, FindingChange, Job
from ledger import selectors
from ledger.domain.account import ERASED
from ledger.domain.commands import FREE_TEXT
from ledger.evidence.certificate import OWN_WORDS
from ledger.models import Event
from ledger.store import history
from ledger.store.refusals import Filters
from ledger.subjects.seal import PREFIX
from ledger.subjects.texts import open_recorded

# What people type names into: the lists' search; the text that the live page and statements are narrowed to.
SEARCHES, KEPT_FILTERS = ("q", "text"), "_changelist_filters"
# A shorter part of a name is in everybody's.
PART_LENGTH_MIN = 3
BATCH = 1_000
TABLES: tuple[type[Model], ...] = (AccessLogEntry, Job, Finding, FindingChange)


def texts_about(account_ids: Collection[str]) -> set[str]:
    """Return every text of these accounts, as far as anybody can still read it. Raises: KeysUnavailable."""
    found = set[str]()
    for account_id in account_ids:
        for part in (*_recorded(account_id), *_refused(account_id)):
            found.update(text for name in FREE_TEXT if isinstance(text := part.get(name), str))
    return found - set(OWN_WORDS)


def _recorded(account_id: str) -> Iterator[dict[str, object]]:
    after = 0
    while page := history.sequenced_events(after, BATCH, account_id, None):
        for event in open_recorded([sequenced.event for sequenced in page]):
            yield from (event.data, event.state)
        after = page[-1].position


def _refused(account_id: str) -> Iterator[dict[str, object]]:
    after = None
    while (page := selectors.refused(BATCH, after, Filters(account_id=account_id))) and page.refusals:
        yield from (refusal.command for refusal in page.refusals)
        after = page.refusals[-1].refusal_id


def forget(account_ids: Collection[str], texts: Collection[str]) -> int:
    """Clear what the portal has in plain of these accounts and texts; return how many rows were changed."""
    with transaction.atomic():
        cleared = _clear_notes(account_ids) + _clear_searches(_Words(texts))
    _sweep()
    return cleared


def _sweep() -> None:
    """Remove the old versions of the rows, and the samples of their values that PostgreSQL keeps to plan with."""
    with connection.cursor() as cursor:
        for model in TABLES:
            cursor.execute(f"VACUUM (ANALYZE) {model._meta.db_table}")


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


class _Words:
    """Tells whether what somebody searched for is in one of some texts, or one of them in it."""

    def __init__(self, texts: Collection[str]) -> None:
        self._texts = {text.casefold() for text in texts if text not in OWN_WORDS}
        self.are_in = cache(self._are_in)  # the same few are on record again and again

    def _are_in(self, term: str) -> bool:
        words = term.casefold().split()
        if len("".join(words)) < PART_LENGTH_MIN:
            return False
        return any(all(word in text for word in words) or _holds(term.casefold(), text) for text in self._texts)


def _holds(term: str, text: str) -> bool:
    """Return whether a text is the whole of some words of a term."""
    is_in = len(text) >= PART_LENGTH_MIN and text in term
    return is_in and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", term) is not None


def _clear_searches(words: _Words) -> int:
    changed = 0
    for job in Job.objects.filter(options__has_key="query").iterator(BATCH):
        query = _without(job.options["query"], words)
        if query != job.options["query"]:
            changed += Job.objects.filter(pk=job.pk).update(options={**job.options, "query": query})
    # A list's own filters travel along to the page of a row, encoded once more.
    searched = Q()
    for key in SEARCHES:
        searched |= Q(path__contains=f"{key}=") | Q(path__contains=f"{key}%3D")
    for entry in AccessLogEntry.objects.filter(searched).iterator(BATCH):
        address, mark, query = entry.path.partition("?")
        if (left := _without(query, words)) != query:
            changed += AccessLogEntry.objects.filter(pk=entry.pk).update(
                path=f"{address}{mark}{left}"[:PATH_LENGTH_MAX]
            )
    return changed


def _without(query: str, words: _Words) -> str:
    """Return a query string without the search terms that are about the subject; the same text when none was."""
    pairs = parse_qsl(query, keep_blank_values=True)
    left = [(key, _cleared(key, value, words)) for key, value in pairs]
    return query if left == pairs else urlencode(left)


def _cleared(key: str, value: str, words: _Words) -> str:
    if key == KEPT_FILTERS:
        return _without(value, words)
    return ERASED if key in SEARCHES and words.are_in(value) else value
