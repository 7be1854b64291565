"""Every failure as an RFC 9457 problem: one shape, a stable `code`, and `error`, one sentence for a person.

Django REST Framework's exceptions, Django's own 404 and 500, and the ledger's errors all leave through
`problem_of`. A defect is logged with its traceback and answered without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from ledger.api import errors
from ledger.domain.errors import LedgerError, Malformed
from ledger.errors import InternalError

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "/api/errors#"  # + code: the row of docs/errors.md
FOR_PROGRAMS = ("/api/", "/log/", "/healthz/", "/readyz/", "/metrics/")
RETRY_AFTER_S = 1  # what all our own bounds amount to: a second later most of it has passed
AUTHENTICATE = "Token"
REPLAYED_HEADER = "Idempotent-Replayed"

_BY_DRF_CLASS: dict[type[Exception], type[LedgerError]] = {
    exceptions.NotAuthenticated: errors.NotSignedIn,
    exceptions.AuthenticationFailed: errors.InvalidToken,
    exceptions.PermissionDenied: errors.Forbidden,
    PermissionDenied: errors.Forbidden,
    exceptions.NotFound: errors.NotFound,
    Http404: errors.NotFound,
    exceptions.MethodNotAllowed: errors.MethodNotAllowed,
    exceptions.NotAcceptable: errors.NotAcceptable,
    exceptions.UnsupportedMediaType: errors.UnsupportedMediaType,
    exceptions.ParseError: errors.InvalidJson,
    SuspiciousOperation: Malformed,
}


def body_of(error: LedgerError, *, replayed: bool = False) -> dict[str, Any]:
    """Return the problem as the JSON object that is answered."""
    title = error.code.replace("_", " ").capitalize()
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + error.code,
        "title": title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "error": f"{title}: {error.detail}",
    }
    assert body.keys().isdisjoint(error.fields), f"a field of {error.code} has the name of a problem's own member"
    body.update({name: _writable(value) for name, value in error.fields.items()})
    if replayed:
        body["replayed"] = True
    return body


def _writable(value: Any) -> Any:
    """Escape what no UTF-8 can hold: a field may echo a lone surrogate that was sent."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def problem(error: LedgerError, *, replayed: bool = False) -> HttpResponse:
    """Return the answer for one error."""
    body = body_of(error, replayed=replayed)
    response = HttpResponse(orjson.dumps(body), content_type=MEDIA_TYPE, status=error.status)
    if error.retryable:
        response["Retry-After"] = str(error.fields.get("retry_after_s", RETRY_AFTER_S))
    if error.status == 401:
        response["WWW-Authenticate"] = AUTHENTICATE
    if replayed:
        response[REPLAYED_HEADER] = "true"
    return response


def method_not_allowed(method: str | None, allowed: Sequence[str]) -> HttpResponse:
    """Return the answer for a method that an address does not take; `allowed` are those it does."""
    response = problem(errors.MethodNotAllowed(f'Method "{method}" not allowed'))
    response["Allow"] = ", ".join(allowed)
    return response


def handle(exception: Exception, context: dict[str, Any]) -> HttpResponse:
    """Django REST Framework's EXCEPTION_HANDLER: nothing leaves it unanswered."""
    error = error_of(exception)
    path = getattr(context.get("request"), "path", None)
    if isinstance(error, InternalError):
        log.error("a request failed", path=path, exc_info=exception)
    elif isinstance(error, errors.DatabaseUnavailable):
        log.warning("a database does not answer", path=path, error=str(exception))
    return problem(error)


def error_of(exception: Exception) -> LedgerError:
    if isinstance(exception, LedgerError):
        return exception
    if isinstance(exception, exceptions.Throttled):
        wait_s = math.ceil(getattr(exception, "wait", None) or RETRY_AFTER_S)
        return errors.TooManyRequests(f"try again in {wait_s} s", retry_after_s=wait_s)
    if isinstance(exception, OperationalError | InterfaceError):
        return errors.DatabaseUnavailable("a database of the portal or of the read model does not answer")
    for drf_class, our_class in _BY_DRF_CLASS.items():
        if isinstance(exception, drf_class):
            return our_class(_sentence(exception, our_class))
    return InternalError("the server failed; nothing is known about the cause here, its log has it")


def _sentence(exception: Exception, our_class: type[LedgerError]) -> str:
    detail = getattr(exception, "detail", None)
    if detail is None or our_class is errors.NotFound:
        return "there is nothing at this address" if our_class is errors.NotFound else "the request was refused"
    return str(detail).rstrip(".")


def page_for(error: LedgerError, default: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return a handler for Django's `handler404` and its like: problems for programs, Django's page for people."""

    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return problem(error) if is_for_programs(request.path) else default(request, *args, **kwargs)

    return page


def is_for_programs(path: str) -> bool:
    """Return whether an address, there or not, is one of those that programs ask."""
    return f"{path}/".startswith(FOR_PROGRAMS)
