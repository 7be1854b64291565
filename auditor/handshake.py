"""Who opens a websocket, and whether they may.

A client that sends `Authorization: Token …` is known by its token; no web page can make a browser send that.
A browser is known by its session cookie, which it sends from anybody's page, so then the Origin must be ours.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import CookieMiddleware
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from auditor.permissions import READERS
from chronicle.roles import has_role


class TokenOrSameOrigin:
    """Lets clients with a token through, and browsers whose page is one of ours."""

    def __init__(self, application: Any) -> None:
        self._with_token = application
        self._of_browser = AllowedHostsOriginValidator(CookieMiddleware(application))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        application = self._with_token if _token(scope) else self._of_browser
        return await application(scope, receive, send)


async def user_of(scope: Any) -> Any:
    """Return who this is as of now, anonymous if nobody: a token may be withdrawn, a session end."""
    if token := _token(scope):
        return await database_sync_to_async(_user_of_token)(token)
    store = import_module(settings.SESSION_ENGINE).SessionStore
    key = scope.get("cookies", {}).get(settings.SESSION_COOKIE_NAME)
    return await get_user({"session": store(key)})


async def may_follow(user: Any) -> bool:
    return bool(await database_sync_to_async(has_role)(user, *READERS))


def _user_of_token(token: bytes) -> Any:
    try:
        user, _ = TokenAuthentication().authenticate_credentials(token)
    except (AuthenticationFailed, UnicodeDecodeError):
        return AnonymousUser()
    return user


def _token(scope: Any) -> bytes:
    """Return the token of an `Authorization: Token …` header, or nothing."""
    for name, value in scope["headers"]:
        scheme, _, token = value.partition(b" ")
        if name == b"authorization" and scheme.lower() == b"token":
            return bytes(token.strip())
    return b""
