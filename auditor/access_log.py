"""Records every look at an account, an event or a transfer, whichever door it came through.

The portal's pages and the websocket call `record`; the API's reads are recorded by `AccessLogMiddleware`,
because nothing on the write or read side may know the portal. An entry is made before the page is shown and
after an API call has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from auditor.models import AccessLogEntry

ACCOUNT, EVENT, TRANSFER = "account", "event", "transfer"
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


def record(user: Any, kind: str, subject_id: str, path: str) -> None:
    """Record that a user looked at something, now."""
    AccessLogEntry.objects.create(
        user=user,
        kind=kind,
        subject_id=subject_id[:SUBJECT_LENGTH_MAX],
        path=path[:PATH_LENGTH_MAX],
        at=timezone.now(),
    )


class AccessLogMiddleware:
    """Records the API's successful reads of one account, event or transfer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.method == "GET" and request.path.startswith(API_PREFIX) and response.status_code == 200:
            self._record(request)
        return response

    def _record(self, request: HttpRequest) -> None:
        # The API framework puts the token's user on the request; a call without one has read nothing of anybody.
        if not request.user.is_authenticated or request.resolver_match is None:
            return
        named = {**request.GET.dict(), **request.resolver_match.kwargs}
        for argument, kind in KIND_BY_ARGUMENT.items():
            if subject_id := named.get(argument):
                record(request.user, kind, str(subject_id), request.get_full_path())
