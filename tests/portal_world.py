"""Short words for tests of the portal's pages: users signed in by role, and a ledger with a row on every page."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db import connection as portal
from django.db.models import Model
from django.test import Client
from django.urls import reverse

import chronicle.urls  # noqa: F401  (registers the lists)
from chronicle.roles import Role
from ledger.domain.commands import CreateAccount, Deposit, Transfer
from ledger.engine.execute import execute
from ledger.engine.submission import Submission
from tests.api_world import new_user
from tests.read_world import order_everything, projector, read_model, wait_until_applied

BAKERY, MILL = "town.bakery", "town.mill"
MANAGED_APPS = ("auth", "knox")  # what administrators change; everything else changes for nobody


def signed_in(*roles: Role, is_superuser: bool = False) -> Client:
    """Return a browser of a new user with these roles."""
    user = new_user(*roles)
    user.is_staff, user.is_superuser = True, is_superuser
    user.save()
    client = Client()
    client.force_login(user)
    return client


def town() -> None:
    """Two accounts, a transfer, a refusal and an idempotency key, ordered and applied."""
    execute(
        [
            Submission(command, actor="tester", idempotency_key=f"key-{number}")
            for number, command in enumerate(
                [
                    CreateAccount(BAKERY, "Bakery", "USD", Decimal("1234.50")),
                    CreateAccount(MILL, "Mill", "USD"),
                    Deposit(MILL, Decimal("0.50"), "Flour"),
                    Transfer(BAKERY, MILL, Decimal(34), "Grinding"),
                    Transfer(MILL, BAKERY, Decimal(99_999), "Too much"),
                ]
            )
        ]
    )
    order_everything()
    with projector():
        wait_until_applied()


def read_only_models() -> list[type[Model]]:
    return [model for model in admin.site._registry if model._meta.app_label not in MANAGED_APPS]


def page(model: type[Model], name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def accesses() -> list[tuple[str, str, str]]:
    """Return kind, subject and path of every look that was recorded, the oldest first."""
    with portal.cursor() as cursor:
        cursor.execute("SELECT kind, subject_id, path FROM access_log ORDER BY id")
        return list(cursor.fetchall())


def first_key(model: type[Model]) -> Any:
    """Return the primary key of some row, or None when the table is empty or its rows have no page."""
    if model._meta.is_composite_pk:
        return None
    row = model._default_manager.order_by("pk").first()  # type: ignore[attr-defined]
    return None if row is None else row.pk


def total(currency: str) -> int:
    ((amount_minor,),) = read_model("SELECT sum(balance_minor) FROM accounts WHERE currency = %s", currency)
    return int(amount_minor)
