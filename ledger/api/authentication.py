"""Who is calling: `Authorization: Token …` or a session with its CSRF token.

A token that was found good is believed for a few seconds without asking the database again, together with
its user's roles, so that a stream of commands costs no query each. A revoked token or a lost role takes
effect within that time in every process, and at once in the one that revoked it.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework import exceptions
from rest_framework.authentication import SessionAuthentication as DrfSessionAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from chronicle.roles import Role, roles_of
from ledger.api.errors import CsrfFailed

BELIEVED_S = 5.0  # how long a revoked token or role may still work
# So long before that one call asks again, and those beside it go on: with nobody believed any more, all that come
# meanwhile would ask, each in a thread.
RENEWED_S = 1.0
REMEMBERED_MAX = 10_000  # tokens; one is about a kilobyte
_PREFIX = b"token"
_TOKEN = re.compile(rb"[0-9A-Za-z]{1,128}")


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a token stands for. It is `request.auth`."""

    user: User
    token: AuthToken
    roles: frozenset[Role]
    believed_until: float


_sign_ins: dict[str, SignIn] = {}
_being_renewed: set[str] = set()


def forget(digest: str) -> None:
    """Stop believing a token at once, in this process."""
    _sign_ins.pop(digest, None)


class TokenAuthentication(KnoxAuthentication):
    def authenticate_credentials(self, token: bytes) -> tuple[User, SignIn]:
        if not _TOKEN.fullmatch(token):
            raise exceptions.AuthenticationFailed("a token is letters and digits")
        digest = hash_token(token.decode())
        sign_in = _sign_ins.get(digest)
        if sign_in is None or digest in _being_renewed or sign_in.believed_until < time.monotonic():
            try:
                user, found = super().authenticate_credentials(token)
                sign_in = SignIn(user, found, roles_of(user), time.monotonic() + BELIEVED_S)
            except exceptions.AuthenticationFailed:
                forget(digest)
                raise
            finally:
                _being_renewed.discard(digest)
            if len(_sign_ins) >= REMEMBERED_MAX:
                _sign_ins.clear()
            _sign_ins[digest] = sign_in
        return sign_in.user, sign_in


def believed(request: Any) -> SignIn | None:
    """Return the sign-in of a request whose token was found good a moment ago, or None: then ask the database.

    Of those that come when it is soon to be asked again, the first gets None.
    """
    # Not by `request.headers`, which puts every header of the request into a mapping first: 20 µs for this one.
    prefix, _, token = request.META.get("HTTP_AUTHORIZATION", "").encode("latin-1").partition(b" ")
    if prefix.lower() != _PREFIX or not _TOKEN.fullmatch(token):
        return None
    digest = hash_token(token.decode())
    sign_in = _sign_ins.get(digest)
    left_s = sign_in.believed_until - time.monotonic() if sign_in is not None else 0.0
    if left_s <= 0:
        return None
    if left_s < RENEWED_S and digest not in _being_renewed:
        _being_renewed.add(digest)
        return None
    return sign_in


class SessionAuthentication(DrfSessionAuthentication):
    def enforce_csrf(self, request: Any) -> None:
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied as error:
            raise CsrfFailed(str(error.detail)) from error


def roles_in(request: Request) -> frozenset[Role]:
    """Return the roles of whoever is calling; a session's are read from the database once for each request."""
    if isinstance(request.auth, SignIn):
        return request.auth.roles
    if not hasattr(request, "roles"):
        request.roles = roles_of(request.user)  # type: ignore[attr-defined]
    roles: frozenset[Role] = request.roles  # type: ignore[attr-defined]
    return roles


class _RolePermission(BasePermission):
    roles: frozenset[Role]
    message = "this needs another role"

    def has_permission(self, request: Request, view: Any) -> bool:
        return not roles_in(request).isdisjoint(self.roles)


class MayRead(_RolePermission):
    roles = frozenset(Role)
    message = "reading needs the role auditor, operator or administrator"


class MayCommand(_RolePermission):
    roles = frozenset({Role.OPERATOR, Role.ADMINISTRATOR})
    message = "commands need the role operator or administrator"


class MayAdminister(_RolePermission):
    roles = frozenset({Role.ADMINISTRATOR})
    message = "this needs the role administrator"
