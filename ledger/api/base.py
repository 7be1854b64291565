"""The base of every API view: asynchronous, JSON in and out, every failure a problem.

Django REST Framework's own `dispatch` is synchronous; this one awaits the handler and keeps the rest:
authenticators, permissions, throttles, parsers and the description for OpenAPI. What needs a database runs
in a few threads that live as long as the process, so that their connections do too.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple, NoReturn, TypeVar

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from chronicle.kept_connections import look_after
from ledger.api.authentication import MayRead, believed
from ledger.api.body import StrictJsonParser, StrictRequest
from ledger.api.parameters import check_known

T = TypeVar("T")
# Below the event store's pool, so that reading cannot keep the writer, or a batch, from a connection.
READERS = 6
POSITION_HEADER = "Chronicle-Position"
_readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run something that blocks, with database connections that are checked and kept."""
    return await asyncio.get_running_loop().run_in_executor(_readers, with_connections, function, *arguments)


def with_connections(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread that lives long, after looking at the database connections it has kept."""
    look_after()
    return function(*arguments)


def answer(
    data: Any, status: int = 200, *, position: int | None = None, headers: dict[str, str] | None = None
) -> HttpResponse:
    """Return a JSON answer. `position`: the journal's position that it is true for."""
    response = HttpResponse(orjson.dumps(data), content_type="application/json", status=status, headers=headers)
    if position is not None:
        response[POSITION_HEADER] = str(position)
    return response


class _Parts(NamedTuple):
    """What Django REST Framework makes anew for every request of a view, and nothing changes."""

    parsers: list[Any]
    authenticators: list[Any]
    permissions: list[Any]
    negotiator: Any
    allow: dict[str, str]


@cache
def _parts_of(view: Callable[[], ApiView]) -> _Parts:
    one = view()
    return _Parts(
        APIView.get_parsers(one), APIView.get_authenticators(one), list(APIView.get_permissions(one)),
        APIView.get_content_negotiator(one), one.default_response_headers,
    )  # fmt: skip


class ApiView(APIView):
    parser_classes = (StrictJsonParser,)
    permission_classes: tuple[type[BasePermission], ...] = (MayRead,)
    # Told rather than found out from the handlers, of which OPTIONS is synchronous.
    view_is_async = True

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        self.request = admitted = self.initialize_request(request, *args, **kwargs)
        self.headers: dict[str, str] = {}
        try:
            if sign_in := believed(request):
                admitted.user, admitted.auth = sign_in.user, sign_in
                self._check(admitted)
            else:
                await in_thread(self._authenticate_and_check, admitted)
            response = self._handler(admitted)(admitted, *args, **kwargs)
            if inspect.isawaitable(response):
                response = await response
        except Exception as error:
            response = self.handle_exception(error)
        if request.method == "OPTIONS" or response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.headers = dict(self._parts.allow)  # which methods there are interests whoever has taken another
        return self.finalize_response(admitted, response, *args, **kwargs)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        return StrictRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def get_parsers(self) -> list[Any]:
        return self._parts.parsers

    def get_authenticators(self) -> list[Any]:
        return self._parts.authenticators

    def get_permissions(self) -> list[Any]:
        return self._parts.permissions

    def get_content_negotiator(self) -> Any:
        return self._parts.negotiator

    @property
    def _parts(self) -> _Parts:
        return _parts_of(type(self))  # type: ignore[arg-type]  # a class is hashable

    def _authenticate_and_check(self, request: Request) -> None:
        self.perform_authentication(request)
        self._check(request)

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        if not request.user.is_authenticated:
            raise exceptions.NotAuthenticated
        raise exceptions.PermissionDenied(message, code)

    def _check(self, request: Request) -> None:
        self.check_permissions(request)
        self.check_throttles(request)

    def _handler(self, request: Request) -> Callable[..., Any]:
        name = (request.method or "").lower()
        handler = getattr(self, name, None) if name in self.http_method_names else None
        if handler is None:
            return self.http_method_not_allowed
        check_known(request, handler)
        return handler
