"""Who is calling: `Authorization: Token …` or a session with its CSRF token.

A token that was found good is believed for a few seconds without asking the database again, together with
its user's roles, so that a stream of commands costs no query each. A revoked token or a lost role takes
effect within that time in every process, and at once in the one that revoked it, which Django's signals tell.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver
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
_lock = Lock()
_taken_back = 0  # how often; whoever asked before the last time does not remember what was found


class TokenAuthentication(KnoxAuthentication):
    def authenticate_credentials(self, token: bytes) -> tuple[User, SignIn]:
        if not _TOKEN.fullmatch(token):
            raise exceptions.AuthenticationFailed("a token is letters and digits")
        digest = hash_token(token.decode())
        sign_in = _sign_ins.get(digest)
        if sign_in is None or digest in _being_renewed or sign_in.believed_until < time.monotonic():
            # Both before asking: an answer may be long in coming, and is as old as its question.
            believed_until, taken_back = time.monotonic() + BELIEVED_S, _taken_back
            try:
                user, found = super().authenticate_credentials(token)
                sign_in = SignIn(user, found, roles_of(user), believed_until)
            except exceptions.AuthenticationFailed:
                with _lock:
                    _sign_ins.pop(digest, None)
                raise
            finally:
                _being_renewed.discard(digest)
            _remember(digest, sign_in, taken_back)
        return sign_in.user, sign_in


def _remember(digest: str, sign_in: SignIn, taken_back: int) -> None:
    with _lock:
        if taken_back != _taken_back:
            return
        if len(_sign_ins) >= REMEMBERED_MAX:
            _sign_ins.clear()
        _sign_ins[digest] = sign_in


def _forget(user_id: Any = None) -> None:
    """Believe no token of a user any more, or of nobody at all, nor what a call is just finding out."""
    global _taken_back
    with _lock:
        _taken_back += 1
        for digest in [digest for digest, found in _sign_ins.items() if user_id in (None, found.user.pk)]:
            del _sign_ins[digest]


@receiver(post_delete, sender=AuthToken)
def _forget_token(instance: AuthToken, using: str, **_: Any) -> None:
    transaction.on_commit(partial(_forget, instance.user_id), using)


@receiver(post_save, sender=User)
def _forget_user(instance: User, using: str, **_: Any) -> None:
    transaction.on_commit(partial(_forget, instance.pk), using)


@receiver(m2m_changed, sender=User.groups.through)
def _forget_roles(instance: Any, action: str, reverse: bool, using: str, **_: Any) -> None:
    if action.startswith("post_"):
        transaction.on_commit(partial(_forget, None if reverse else instance.pk), using)


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
