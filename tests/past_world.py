"""Short words for tests of the pages about the past: an account with a long and varied life, and what a page says."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import reverse

from ledger.domain.commands import (
    Command,
    CreateAccount,
    Deposit,
    FreezeAccount,
    PlaceHold,
    Transfer,
    UnfreezeAccount,
    Withdraw,
)
from tests.read_world import order_everything, projector, submit, wait_until_applied

LIGHTHOUSE, HARBOUR = "lighthouse_5F", "harbour"  # an id that looks as if the admin had spelt it
DEPOSITS = 300  # more than a chart has points, and than a statement has lines on five pages


def long_life() -> None:
    """An account with every kind of event and some hundred of one, ordered and applied."""
    submit(CreateAccount(LIGHTHOUSE, "Lamp & Sons", "USD", Decimal("500.00")), CreateAccount(HARBOUR, "Harbour", "USD"))
    lives: list[Command] = [Deposit(LIGHTHOUSE, Decimal(number), f"Oil {number}") for number in range(1, DEPOSITS + 1)]
    submit(*lives)
    submit(
        Withdraw(LIGHTHOUSE, Decimal("12.34"), "Wick"),
        Transfer(LIGHTHOUSE, HARBOUR, Decimal(100), "Mooring"),
        PlaceHold(LIGHTHOUSE, Decimal(40), "Glass"),
        FreezeAccount(LIGHTHOUSE, "storm"),
        UnfreezeAccount(LIGHTHOUSE, "calm"),
    )
    applied()


def applied() -> None:
    """Order everything and let every projection come to the head."""
    order_everything()
    with projector():
        wait_until_applied()


def account_page(account_id: str) -> str:
    return reverse("admin:projections_account_change", args=[quote(account_id)])


def travel_page(account_id: str) -> str:
    return reverse("admin:time_travel", args=[quote(account_id)])


def text(client: Client, address: str, status: int = 200, **parameters: Any) -> str:
    """Return a page's text without its tags, spaces folded."""
    answer = client.get(address, parameters)
    assert answer.status_code == status, (address, answer.status_code)
    return " ".join(re.sub(r"<[^>]*>", " ", answer.content.decode()).split())
