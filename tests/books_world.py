"""Books with a known history, kept up to date by a running relay and projector, for tests of the queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.test import Client

from chronicle.roles import Role
from tests.api_world import client_with, ok, open_account, post
from tests.clean import empty_everything
from tests.read_world import projector, relay, wait_until_applied
from tests.servers import Servers

ADA, BOB, KEN = "ada", "bob", "ken"


@dataclass
class Books:
    """Ada: 500.00 + 250.00 - 50.00 - 200.00 to Bob. Bob: 100.00 + 200.00. Ken: 1000 yen."""

    auditor: Client
    operator: Client
    transfer_id: str


@contextmanager
def open_books(stack: Servers) -> Iterator[Books]:
    empty_everything(stack)
    with relay(), projector():
        operator = client_with(Role.OPERATOR)
        open_account(operator, "500.00", account_id=ADA)
        open_account(operator, "100.00", account_id=BOB)
        open_account(operator, "1000", currency="JPY", account_id=KEN)
        ok(post(operator, "deposit", {"account_id": ADA, "amount": "250.00", "description": "salary"}), 201)
        ok(post(operator, "withdraw", {"account_id": ADA, "amount": "50.00", "description": "rent"}), 201)
        moved = {"from_account_id": ADA, "to_account_id": BOB, "amount": "200.00", "description": "gift"}
        transfer_id = ok(post(operator, "transfer", moved), 201)["transfer_id"]
        wait_until_applied()
        yield Books(client_with(Role.AUDITOR), operator, transfer_id)
    empty_everything(stack)


HEAD = 10  # positions that this history takes
