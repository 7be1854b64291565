"""Signing in with username and password for a token, and giving the token back.

Guessing is slowed down per address and per address and name; tokens are stored hashed and expire.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import serializers
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from chronicle.roles import roles_of
from ledger.api.authentication import SignIn, TokenAuthentication
from ledger.api.base import ApiView, answer, in_thread
from ledger.api.errors import InvalidCredentials, UnknownField
from ledger.api.fields import TextField
from ledger.api.schema import TokenAnswer, problems
from ledger.domain.instants import format_instant

USERNAME_MAX, PASSWORD_MAX = 150, 1_000


class CredentialsSerializer(serializers.Serializer[Any]):
    username = TextField(length_max=USERNAME_MAX, is_blank_allowed=False)
    password = TextField(length_max=PASSWORD_MAX, is_blank_allowed=False)


class AddressThrottle(SimpleRateThrottle):
    scope = "sign_in_address"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return _cache_key(self.scope, self.get_ident(request))


class NameThrottle(SimpleRateThrottle):
    """Per address and name, so that nobody can lock another one out by failing in his name."""

    scope = "sign_in_name"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return _cache_key(self.scope, self.get_ident(request), str(dict(request.data).get("username")))


def _cache_key(*parts: str) -> str:
    # Hashed, because what a caller sends is no key that every cache takes.
    return sha256(json.dumps(parts).encode()).hexdigest()


class TokenView(ApiView):
    def get_authenticators(self) -> list[Any]:
        # Whoever signs in may well still send an old token along.
        return [] if self._is_signing_in() else [TokenAuthentication()]

    def get_permissions(self) -> list[Any]:
        return [AllowAny()] if self._is_signing_in() else [IsAuthenticated()]

    def get_throttles(self) -> list[Any]:
        return [AddressThrottle(), NameThrottle()] if self._is_signing_in() else []

    def _is_signing_in(self) -> bool:
        return self.request is not None and self.request.method == "POST"

    @extend_schema(
        operation_id="create_token",
        request=CredentialsSerializer,
        responses={200: TokenAnswer, **problems(400, 401, 413, 415, 429, 503)},
        auth=[],
        tags=["sign-in"],
    )
    async def post(self, request: Request) -> HttpResponse:
        """Get a token for `Authorization: Token …`."""
        credentials = _credentials(request.data)
        return answer(await in_thread(_sign_in, request._request, credentials))

    @extend_schema(
        operation_id="revoke_token", responses={204: None, **problems(401, 503)}, tags=["sign-in"], request=None
    )
    async def delete(self, request: Request) -> HttpResponse:
        """Revoke the token that signs this request."""
        await in_thread(_sign_out, request._request, request.auth)
        return HttpResponse(status=204)


def _credentials(data: Any) -> dict[str, str]:
    serializer = CredentialsSerializer()
    for name in data:
        if name not in serializer.fields:
            raise UnknownField("signing in has no such field", field=name[:64], fields=list(serializer.fields))
    return dict(serializer.run_validation(data))


def _sign_in(request: Any, credentials: dict[str, str]) -> dict[str, Any]:
    user = authenticate(request, **credentials)
    if user is None:
        raise InvalidCredentials("username and password do not belong together")
    token, secret = AuthToken.objects.create(user)
    user_logged_in.send(sender=type(user), request=request, user=user)
    return {
        "token": secret,
        "expiry": format_instant(token.expiry) if token.expiry else None,
        "user": {"username": user.get_username(), "roles": sorted(roles_of(user))},
    }


def _sign_out(request: Any, sign_in: SignIn) -> None:
    sign_in.token.delete()
    user_logged_out.send(sender=type(sign_in.user), request=request, user=sign_in.user)
