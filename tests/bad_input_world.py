"""Well-formed bodies to spoil, and the accounts they name, for the API's tests of bad input."""

from __future__ import annotations

from typing import Any

from django.test import Client

from tests.api_world import new_id, post

ACCOUNT, OTHER = new_id(), new_id()


def open_accounts(client: Client) -> None:
    for account_id in (ACCOUNT, OTHER):
        # Another module may have opened them already, or emptied the store since.
        assert post(client, "create-account", opening(account_id=account_id)).status_code in (201, 409)


def opening(**changes: Any) -> dict[str, Any]:
    return {"account_id": new_id(), "owner_name": "Ada", "currency": "USD", "initial_balance": "10.00", **changes}


def money(**changes: Any) -> dict[str, Any]:
    return {"account_id": ACCOUNT, "amount": "1.00", "description": "pay", **changes}


def moving(**changes: Any) -> dict[str, Any]:
    return {"from_account_id": ACCOUNT, "to_account_id": OTHER, "amount": "1.00", "description": "pay", **changes}
