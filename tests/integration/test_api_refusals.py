"""Refused commands can be read by those who audit: all of them, by page, and by actor, code or account."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.test import Client

from auditor.models import AccessLogEntry
from chronicle.roles import Role
from ledger.domain.commands import Command, Deposit, FreezeAccount, Leg, MultiTransfer, Transfer, Withdraw
from ledger.store.connection import ALIAS, connection
from tests.api_world import client_with, get, new_id, ok, open_account, post, problem
from tests.ledger_world import accepted, new_account, rejected

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(scope="module")
def auditor(database_for_module: None) -> Client:
    return client_with(Role.AUDITOR)


def refuse(command: Command, actor: str) -> None:
    rejected(command, actor=actor)


def listed(client: Client, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ok(get(client, "refusals", **parameters))["refusals"]
    return found


def test_a_refused_command_is_shown_whole(operator: Client, auditor: Client) -> None:
    account_id = open_account(operator, "10")
    refused = problem(
        post(operator, "withdraw", {"account_id": account_id, "amount": "10.50"}), 422, "insufficient_funds"
    )
    (row,) = listed(auditor, aggregate_id=account_id)
    assert (row["command_type"], row["code"], row["detail"]) == ("withdraw", "insufficient_funds", refused["detail"])
    assert row["command"] == {"account_id": account_id, "amount": "10.5", "description": ""}
    assert row["actor"].startswith("user-")
    assert row["recorded_at"].endswith("Z")


def test_what_is_malformed_unknown_or_conflicting_is_no_refusal(operator: Client, auditor: Client) -> None:
    before = ok(get(auditor, "refusals"))["total"]
    account_id = open_account(operator)
    problem(post(operator, "withdraw", {"account_id": account_id, "amount": "0"}), 400, "amount_not_positive")
    problem(post(operator, "withdraw", {"account_id": new_id(), "amount": "1"}), 404, "account_not_found")
    assert ok(get(auditor, "refusals"))["total"] == before


def test_pages_are_newest_first_and_join_without_gap_or_overlap(auditor: Client) -> None:
    actor, account_id = new_id("actor"), new_account()
    for number in range(1, 8):
        refuse(Withdraw(account_id, Decimal(number)), actor)
    pages, after = [], None
    while True:
        page = ok(get(auditor, "refusals", actor=actor, limit=3, **({"after": after} if after else {})))
        assert page["total"] == 7 + len(pages)
        pages.append([row["command"]["amount"] for row in page["refusals"]])
        refuse(Withdraw(account_id, Decimal(99)), actor)  # what comes in between is before the first page
        after = page["next_after"]
        if after is None:
            break
    assert pages == [["7", "6", "5"], ["4", "3", "2"], ["1"]]
    instants = [row["recorded_at"] for row in listed(auditor, actor=actor)]
    assert all(newer > older for newer, older in pairwise(instants))


def test_the_filters_narrow_by_actor_by_code_and_by_both(auditor: Client) -> None:
    one, other, account_id = new_id("actor"), new_id("actor"), new_account()
    refuse(Withdraw(account_id, Decimal(1)), one)
    refuse(Withdraw(account_id, Decimal(2)), other)
    accepted(FreezeAccount(account_id))
    refuse(Deposit(account_id, Decimal(3)), one)
    assert [r["command"]["amount"] for r in listed(auditor, actor=one)] == ["3", "1"]
    assert [r["command"]["amount"] for r in listed(auditor, actor=one, code="account_frozen")] == ["3"]
    assert [r["command"]["amount"] for r in listed(auditor, code="insufficient_funds", aggregate_id=account_id)] == [
        "2",
        "1",
    ]
    assert listed(auditor, actor=other, code="account_frozen") == []
    assert listed(auditor, actor=one[:-1]) == []


def test_an_account_is_found_wherever_a_command_names_it(auditor: Client) -> None:
    poor, rich = new_account(), new_account(100)
    leg = Leg(rich, Decimal(1))
    refuse(Transfer(poor, rich, Decimal(1)), "tester")
    refuse(MultiTransfer((Leg(poor, Decimal(1)),), (leg,)), "tester")
    refuse(Withdraw(poor, Decimal(1)), "tester")
    assert [r["command_type"] for r in listed(auditor, aggregate_id=poor)] == ["withdraw", "multi-transfer", "transfer"]
    assert [r["command_type"] for r in listed(auditor, aggregate_id=rich)] == ["multi-transfer", "transfer"]
    assert listed(auditor, aggregate_id=new_id()) == []


@pytest.mark.parametrize(
    "parameters", [{"after": "7"}, {"after": str(uuid4())}, {"limit": "0"}, {"limit": "1001"}, {"actor": "a\x00"}]
)
def test_a_parameter_out_of_form_is_named(auditor: Client, parameters: dict[str, str]) -> None:
    body = problem(get(auditor, "refusals", **parameters), 400, "invalid_parameter")
    assert [body["parameter"]] == list(parameters)


def test_every_role_may_read_and_nobody_else() -> None:
    for role in Role:
        ok(get(client_with(role), "refusals"))
    problem(get(client_with(), "refusals"), 403, "forbidden")
    problem(get(Client(), "refusals"), 401, "not_signed_in")


def test_looking_for_an_accounts_refusals_is_a_look_at_the_account(auditor: Client) -> None:
    account_id = new_account()
    listed(auditor, aggregate_id=account_id)
    listed(auditor)
    (entry,) = AccessLogEntry.objects.filter(subject_id=account_id)
    assert (entry.kind, entry.path) == ("account", f"/api/v1/refusals?aggregate_id={account_id}")


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("true", "refusals_by_time"),
        ("actor = 'a'", "refusals_by_actor"),
        ("code = 'c'", "refusals_by_code"),
        (
            """command @> '{"account_id": "a"}' OR command @> '{"sources": [{"account_id": "a"}]}'""",
            "refusals_by_account",
        ),
    ],
)
def test_no_filter_reads_the_whole_table(condition: str, index: str) -> None:
    if connections[ALIAS].vendor != "postgresql":
        pytest.skip("another planner, asked in another way")
    query = f"EXPLAIN SELECT * FROM refusals WHERE {condition} ORDER BY recorded_at DESC, refusal_id DESC LIMIT 10"
    with connection() as conn, conn.transaction():
        conn.execute("SET LOCAL enable_seqscan = off")  # a table of this size is read whole otherwise
        if index == "refusals_by_account":  # so few rows are sorted by the time's index sooner than looked up
            conn.execute("SET LOCAL enable_indexscan = off")
        plan = "\n".join(line for (line,) in conn.execute(query))  # type: ignore[call-overload]
    assert index in plan
