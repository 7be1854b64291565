"""A balance that comes with its proof convinces the offline script, and no changed byte of it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from knox.models import AuthToken

from ledger.domain.commands import Deposit
from ledger.domain.instants import format_instant
from ledger.evidence import verify_evidence
from ledger.store import log_key
from tests.proof_world import Decimal, long_history, order, rows, small_history, submit

pytestmark = pytest.mark.usefixtures("clean_stores")
ANSWER_BYTES_MAX = 8 * 1024


@pytest.fixture
def auditor(database: None) -> Client:
    user = User.objects.create_user(f"auditor-{uuid4().hex[:8]}")
    user.groups.add(Group.objects.get_or_create(name="auditor")[0])
    _, token = AuthToken.objects.create(user)
    return Client(headers={"Authorization": f"Token {token}"})


def asked(client: Client, account_id: str, version: int) -> Any:
    """Ask for the balance at the very instant of a version."""
    ((instant,),) = rows("SELECT recorded_at FROM events WHERE aggregate_id = %s AND version = %s", account_id, version)
    return client.get(f"/api/v1/accounts/{account_id}/balance-at", {"timestamp": format_instant(instant), "proof": "1"})


def check(tmp_path: Path, answer: dict[str, Any]) -> None:
    path = tmp_path / "balance.json"
    path.write_text(json.dumps(answer))
    verify_evidence.check_balance(path, log_key.load_signer().verifier.vkey)


def test_a_past_balance_is_proven_by_its_event_and_the_next(auditor: Client, tmp_path: Path) -> None:
    small_history()
    response = asked(auditor, "ann", 4)
    answer = response.json()
    assert (answer["balance"], answer["version"]) == ("106.00", 4)
    assert answer["proof"]["next"] is not None
    check(tmp_path, answer)


def test_the_last_balance_is_proven_by_its_event_and_a_signed_statement(auditor: Client, tmp_path: Path) -> None:
    small_history()
    answer = asked(auditor, "bob", 3).json()
    assert answer["balance"] == "27.00"
    assert answer["proof"]["next"] is None
    check(tmp_path, answer)


def test_a_later_event_that_no_head_covers_yet_does_not_spoil_the_proof(auditor: Client, tmp_path: Path) -> None:
    small_history()
    submit(Deposit("bob", Decimal(1)))
    order()
    check(tmp_path, asked(auditor, "bob", 3).json())
    assert asked(auditor, "bob", 4).json()["code"] == "not_yet"


@pytest.mark.parametrize("version", [4, 7])
def test_nothing_in_a_proven_balance_can_be_changed(auditor: Client, tmp_path: Path, version: int) -> None:
    small_history()
    answer = asked(auditor, "ann", version).json()
    check(tmp_path, answer)

    def changed(path: list[str | int], value: Any) -> dict[str, Any]:
        copy = json.loads(json.dumps(answer))
        part = copy
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value
        return copy

    other = "0001-01-01T00:00:00.000000Z"
    changes = [changed(["balance"], "999.00"), changed(["balance"], "-106.00"), changed(["currency"], "EUR"),
               changed(["version"], 5), changed(["account_id"], "bob"), changed(["at"], other),
               changed(["proof", "balance_minor"], 1), changed(["proof", "event", "index"], 1),
               changed(["proof", "event", "path", 0], answer["proof"]["event"]["path"][1]),
               changed(["proof", "event", "entry"], answer["proof"]["event"]["entry"].replace("tester", "nobody")),
               changed(["proof", "checkpoint"], answer["proof"]["checkpoint"].replace("\n10\n", "\n11\n"))]  # fmt: skip
    if answer["proof"]["next"]:
        changes += [changed(["at"], "9999-01-01T00:00:00.000000Z"), changed(["proof", "next"], answer["proof"]["event"]),
                    changed(["proof", "next"], None)]  # fmt: skip
    else:
        changes.append(changed(["proof", "statement"], answer["proof"]["statement"].replace("version 8", "version 9")))
    assert answer not in changes, "each of them changes something"
    for forged in changes:
        with pytest.raises((verify_evidence.Broken, KeyError)):
            check(tmp_path, forged)


def test_a_proven_balance_is_small(auditor: Client) -> None:
    long_history(3_000)
    assert len(asked(auditor, "account-1", 20).content) <= ANSWER_BYTES_MAX
