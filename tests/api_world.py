"""Short words for tests of the API: clients with a role, commands over HTTP, problems."""

from __future__ import annotations

import json
from itertools import count
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from knox.models import AuthToken

from chronicle.roles import Role, create_groups

API = "/api/v1"
JSON = "application/json"
_numbers = count(1)


def new_user(*roles: Role, password: str | None = None) -> User:
    user = User.objects.create_user(f"user-{next(_numbers)}-{uuid4().hex[:8]}", password=password)
    groups = create_groups()
    user.groups.set([groups[role] for role in roles])
    return user


def new_token(user: User) -> str:
    token: str = AuthToken.objects.create(user)[1]
    return token


def client_with(*roles: Role) -> Client:
    """Return a client that signs every request with a token of a new user with these roles."""
    return Client(headers={"Authorization": f"Token {new_token(new_user(*roles))}"})


def new_id(prefix: str = "acc") -> str:
    return f"{prefix}-{next(_numbers)}-{uuid4().hex[:8]}"


def post(client: Client, command_type: str, body: Any, **headers: str) -> Any:
    """Send a command; a body that is no string or bytes is sent as JSON."""
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    # Named, because the test client leaves it out with an empty body.
    given = {"Content-Type": JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return client.post(f"{API}/commands/{command_type}", data, content_type=JSON, headers=given)


def get(client: Client, path: str, **parameters: Any) -> Any:
    return client.get(f"{API}/{path}", parameters)


def open_account(client: Client, balance: str = "0", currency: str = "USD", account_id: str = "") -> str:
    """Create an account over HTTP and return its id."""
    body = {
        "account_id": account_id or new_id(),
        "owner_name": "Ada",
        "currency": currency,
        "initial_balance": balance,
    }
    response = post(client, "create-account", body)
    assert response.status_code == 201, response.content
    return body["account_id"]


def ok(response: Any, status: int = 200) -> Any:
    """Return the body of an answer with this status."""
    assert response.status_code == status, response.content
    return response.json()


def problem(response: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """Return the problem an answer is, which must have this status and code."""
    body: dict[str, Any] = json.loads(response.content)
    assert (response.status_code, body["code"]) == (status, code), body
    assert response["Content-Type"] == "application/problem+json"
    assert body["status"] == status
    assert body["type"] == f"/api/errors#{code}"
    assert body["error"] == f"{body['title']}: {body['detail']}"
    return body
