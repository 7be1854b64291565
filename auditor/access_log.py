"""Records every look at an account, an event or a transfer, and every list taken away, whichever door it came through.

The portal's pages and the websocket call `record`; the API's reads are recorded by the middleware below,
because nothing on the write or read side may know the portal. An entry is made before the page is shown and
after an API call has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware

from auditor import looks, sql
from auditor.looks import Look
from auditor.models import AccessLogEntry
from ledger.api.errors import DatabaseUnavailable
from ledger.api.problems import problem
from ledger.domain.events import TRANSFER as TRANSFER_PREFIX

log = structlog.get_logger()

ACCOUNT, EVENT, TRANSFER = "account", "event", "transfer"
LIST = "list"  # exported, and narrowed to none of those
PATH_LENGTH_MAX = 500  # the column's
SUBJECT_LENGTH_MAX = 64
# How the API names in its URLs, and in its query strings, what is being read.
KIND_BY_ARGUMENT = {
    "account_id": ACCOUNT,
    "aggregate_id": ACCOUNT,
    "event_id": EVENT,
    "transfer_id": TRANSFER,
}
API_PREFIX = "/api/v1/"
# A further page, or a step through an account's past, belongs to the look that began this recently.
LOOK_GOES_ON = timedelta(minutes=10)
# So many of somebody's newest looks are asked whether one is going on. Whoever looks oftener is recorded oftener.
NEWEST_LOOKS = 1_000


def look(user: Any, kind: str, subject_id: str, path: str) -> Look:
    """Return what says that a user looks at something now; what is too long for its column, as far as it goes."""
    if kind == ACCOUNT and subject_id.startswith(TRANSFER_PREFIX):
        # Where accounts are asked for, a transfer in steps is named as its events are.
        kind, subject_id = TRANSFER, subject_id.removeprefix(TRANSFER_PREFIX)
    return Look(user.pk, kind, subject_id[:SUBJECT_LENGTH_MAX], path[:PATH_LENGTH_MAX], datetime.now(UTC))


def record(user: Any, kind: str, subject_id: str, path: str) -> None:
    """Record that a user looked at something, now."""
    AccessLogEntry.objects.create(**look(user, kind, subject_id, path)._asdict())


def record_each(user: Any, kind: str, subject_ids: Sequence[str], path: str, *, is_further: bool = False) -> None:
    """Record one look at several things. `is_further`: without those whose look is going on, as in `record_once`."""
    seen = [look(user, kind, subject_id, path) for subject_id in subject_ids]
    if is_further:
        going_on = _going_on(user, [one.subject_id for one in seen])
        seen = [one for one in seen if (one.kind, one.subject_id) not in going_on]
    AccessLogEntry.objects.bulk_create(AccessLogEntry(**one._asdict()) for one in seen)


def _going_on(user: Any, subject_ids: list[str]) -> set[tuple[str, str]]:
    """Return kind and id of those at which this person looked last not long ago."""
    asked = {"user_id": user.pk, "newest": NEWEST_LOOKS, "since": timezone.now() - LOOK_GOES_ON, "ids": subject_ids}
    with connection.cursor() as cursor:
        cursor.execute(sql.LOOKS_GOING_ON, asked)
        return set(cursor.fetchall())


def record_once(user: Any, kind: str, subject_id: str, path: str) -> None:
    """Record a look, unless the same person's look at the same thing is going on."""
    record_each(user, kind, [subject_id], path, is_further=True)


@sync_and_async_middleware
def log_api_reads(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Middleware that records the API's successful reads of one account, event or transfer."""

    def read(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = get_response(request)
        for seen in _looks(request, response):
            AccessLogEntry.objects.create(**seen._asdict())
        return response

    async def read_async(request: HttpRequest) -> HttpResponse:
        response: HttpResponse = await get_response(request)
        if seen := _looks(request, response):
            try:
                await looks.write(seen)
            except OperationalError as error:
                # Nobody is shown what nobody can be held to.
                log.warning("the access log does not take a look", path=request.path, error=str(error.__cause__))
                return problem(DatabaseUnavailable("the portal's database does not answer"))
        return response

    return read_async if iscoroutinefunction(get_response) else read


def _looks(request: HttpRequest, response: HttpResponse) -> list[Look]:
    subjects = _subjects(request, response)
    # The API puts the user of the request's token here; a call without one has read nothing of anybody.
    if not subjects or not request.user.is_authenticated:
        return []
    return [look(request.user, kind, subject_id, request.get_full_path()) for kind, subject_id in subjects]


def _subjects(request: HttpRequest, response: HttpResponse) -> list[tuple[str, str]]:
    """Return kind and id of whatever a call has read, by the names in its address and its query string."""
    is_read = request.method == "GET" and request.path.startswith(API_PREFIX) and response.status_code == 200
    if not is_read or request.resolver_match is None:
        return []
    named = {**request.GET.dict(), **request.resolver_match.kwargs}
    return [(kind, str(named[argument])) for argument, kind in KIND_BY_ARGUMENT.items() if named.get(argument)]
