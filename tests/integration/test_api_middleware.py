"""The middleware, asynchronous as it runs in production: the same protection as Django's, without its threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, RequestFactory
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from chronicle import middleware
from chronicle.roles import Role
from tests.api_world import new_token, new_user

pytestmark = pytest.mark.usefixtures("database")
PASSWORD = "correct horse battery staple"


async def in_database(function: Any, *arguments: Any) -> Any:
    return await sync_to_async(function)(*arguments)


@pytest.fixture
def operator() -> User:
    user = new_user(Role.OPERATOR, password=PASSWORD)
    user.is_staff = True
    user.save()
    return user


def test_ours_are_in_djangos_order() -> None:
    parents = [import_string(name).__mro__ for name in settings.MIDDLEWARE if name.startswith("chronicle.")]
    names = [next(c.__name__ for c in mro if not c.__module__.startswith("chronicle.")) for mro in parents]
    assert names == [
        "SecurityMiddleware", "WhiteNoiseMiddleware", "CSPMiddleware", "SessionMiddleware", "CommonMiddleware",
        "CsrfViewMiddleware", "AuthenticationMiddleware", "MessageMiddleware", "XFrameOptionsMiddleware",
        "MiddlewareMixin",
    ]  # fmt: skip


async def test_a_call_sets_every_protective_header_and_changes_no_thread(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise AssertionError("a middleware went through Django's threads")

    monkeypatch.setattr(MiddlewareMixin, "__acall__", fail)
    token = await in_database(new_token, operator)
    response = await AsyncClient().get("/api/v1/currencies", headers={"Authorization": f"Token {token}"})
    assert response.status_code == 200
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
    assert "Set-Cookie" not in response


def test_the_policy_is_the_one_that_django_csp_makes_and_a_views_own_word_counts() -> None:
    def answered(cls: type[CSPMiddleware], **said: object) -> HttpResponse:
        response = HttpResponse()
        vars(response).update(said)
        answer = cls(lambda request: response)(RequestFactory().get("/"))
        assert isinstance(answer, HttpResponse)
        return answer

    images = {"img-src": ["https://example.org"]}
    policies = []
    for said in ({}, {"_csp_update": images}, {"_csp_exempt": True}):
        ours = answered(middleware.ContentSecurityPolicy, **said).headers
        assert dict(ours) == dict(answered(CSPMiddleware, **said).headers)
        policies.append(ours.get(HEADER, ""))
    assert [bool(policy) for policy in policies] == [True, True, False]
    assert [images["img-src"][0] in policy for policy in policies] == [False, True, False]


async def test_middleware_that_needs_no_database_runs_in_the_loops_own_thread() -> None:
    seen: list[threading.Thread] = []

    class Watched(middleware.Common):
        def process_request(self, request: HttpRequest) -> None:
            seen.append(threading.current_thread())

    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    await Watched(view)(AsyncRequestFactory().get("/"))
    assert seen == [threading.current_thread()]


async def test_signing_in_saves_the_session(operator: User) -> None:
    client = AsyncClient()
    page = await client.get("/admin/login/")
    assert page.status_code == 200
    await client.post("/admin/login/", {"username": operator.username, "password": PASSWORD})
    key = client.cookies["sessionid"].value
    assert await Session.objects.filter(session_key=key).aexists()
    assert (await client.get("/api/v1/accounts")).status_code == 200


async def test_a_form_without_its_csrf_token_is_refused(operator: User) -> None:
    client = AsyncClient(enforce_csrf_checks=True)
    response = await client.post("/admin/login/", {"username": operator.username, "password": PASSWORD})
    assert response.status_code == 403
    assert "sessionid" not in client.cookies


async def test_a_message_outlives_the_request_that_added_it() -> None:
    async def adding(request: HttpRequest) -> HttpResponse:
        messages.info(request, "done")
        return HttpResponse()

    response = await middleware.Sessions(middleware.Messages(adding))(AsyncRequestFactory().get("/"))
    assert "messages" in response.cookies

    async def showing(request: HttpRequest) -> HttpResponse:
        return HttpResponse(", ".join(str(message) for message in messages.get_messages(request)))

    again = AsyncRequestFactory().get("/")
    again.COOKIES["messages"] = response.cookies["messages"].value
    shown = await middleware.Sessions(middleware.Messages(showing))(again)
    assert shown.content == b"done"
    assert shown.cookies["messages"].value == ""
