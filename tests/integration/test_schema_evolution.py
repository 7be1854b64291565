"""History that an older release wrote: it verifies, replays, projects, proves and goes on, byte for byte as it was.

`tests/data/release_d3d5a6e.jsonl` holds the rows that the code of that commit stored: events of schema version 1,
states without holds, a journal, two remembered keys, and one command that its relay had not ordered yet.
"""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command

from chronicle.roles import Role
from ledger.domain.commands import Deposit, PlaceHold, Transfer, Withdraw
from ledger.domain.events import MoneyDeposited, MoneyWithdrawn, from_data
from ledger.store import journal
from ledger.store.connection import connection
from ledger.store.recorded import canonical_bytes, hash_of
from projections import rebuild
from projections.connection import read_model_connection
from projections.projection import by_name
from tests.api_world import client_with, get, ok
from tests.ledger_world import accepted, rejected, rows
from tests.proof_world import sign
from tests.read_world import change_event_store, projector, read_balances, read_model, relay, wait_until_applied
from tests.servers import REPOSITORY

pytestmark = pytest.mark.usefixtures("clean_stores")
RELEASE = REPOSITORY / "tests" / "data" / "release_d3d5a6e.jsonl"
HASHES = "SELECT aggregate_id, version, encode(hash, 'hex'), schema_version, data FROM events ORDER BY 1, 2"


def stored() -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in RELEASE.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        tables[entry["table"]].append(entry["row"])
    return tables


@pytest.fixture
def old_release(clean_stores: None) -> dict[str, list[dict[str, Any]]]:
    """An event store as that release left it, written with the application's own rights."""
    tables = stored()
    with connection() as conn:
        for table, content in tables.items():
            for row in content:
                names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
                insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"
                conn.execute(insert, [_value(value) for value in row.values()])  # type: ignore[arg-type]
    return tables


def _value(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


def test_the_rows_are_those_of_an_older_schema() -> None:
    events = stored()["events"]
    assert {event["schema_version"] for event in events} == {1}
    assert MoneyDeposited.schema_version == MoneyWithdrawn.schema_version == 2
    assert not any("exchange_rate" in event["data"] for event in events)
    assert not any("holds" in event["state"] for event in events)


def test_an_old_event_hashes_to_what_it_was_stored_with(old_release: dict[str, Any]) -> None:
    sequenced = journal.read(0, 100)
    assert len(sequenced) == 6
    assert all(hash_of(s.event) == s.event.hash for s in sequenced)
    assert all(b'"schema_version":1,' in canonical_bytes(s.event) for s in sequenced)
    # Read through the upcaster it would be another event: what is hashed is what was written.
    event = sequenced[1].event
    fact = from_data(event.event_type, event.data, event.schema_version)
    assert fact == MoneyDeposited(100_00, "USD", "external:USD", "Initial balance", None, None)
    assert hash_of(event._replace(schema_version=2, data={**event.data, "exchange_rate": None})) != event.hash


def test_old_history_verifies_and_every_command_of_it_is_decided_again_as_it_was(old_release: dict[str, Any]) -> None:
    before = rows(HASHES)
    sign()
    call_command("verify_ledger", "--semantic")
    for account_id in ("old-ann", "old-bob"):
        call_command("verify_ledger", "--account", account_id)
    assert rows(HASHES) == before, "nothing that was stored has changed"


def test_a_changed_byte_of_old_history_is_still_found(old_release: dict[str, Any]) -> None:
    sign()
    change_event_store("UPDATE events SET schema_version = 2 WHERE aggregate_id = 'old-ann' AND version = 3")
    with pytest.raises(SystemExit) as left:
        call_command("verify_ledger")
    assert left.value.code == 1


def test_new_commands_go_on_from_old_states(old_release: dict[str, Any]) -> None:
    accepted(Deposit("old-ann", Decimal(1)))
    held = accepted(PlaceHold("old-ann", Decimal(70)))
    assert rejected(Withdraw("old-ann", Decimal(4))).error.code == "insufficient_funds"
    moved = accepted(Transfer("old-bob", "old-ann", Decimal(6)))
    assert [event.schema_version for event in moved.events] == [2, 2]
    assert held.events[0].state["held_minor"] == 70_00
    sign()
    call_command("verify_ledger", "--semantic")


def test_an_old_key_is_answered_as_it_was(old_release: dict[str, Any]) -> None:
    replayed = accepted(Deposit("old-ann", Decimal("2.5"), "salary März"), actor="operator", idempotency_key="salary-1")
    assert replayed.replayed
    assert replayed.events[0].state["balance_minor"] == 102_50
    refused = rejected(Withdraw("old-bob", Decimal(1000)), actor="operator", idempotency_key="too-much")
    assert (refused.replayed, refused.error.code) == (True, "insufficient_funds")
    other = rejected(Deposit("old-ann", Decimal("2.6"), "salary März"), actor="operator", idempotency_key="salary-1")
    assert other.error.code == "idempotency_key_reused"


def test_old_history_is_projected_and_shown_and_what_was_not_ordered_yet_is_ordered(
    old_release: dict[str, Any],
) -> None:
    auditor = client_with(Role.AUDITOR)
    with relay(), projector():
        wait_until_applied(7)
        accepted(Deposit("old-bob", Decimal(10)))
        wait_until_applied(8)
        assert read_balances() == {"old-ann": (4, 72_50), "old-bob": (4, 36_00)}
        account = ok(get(auditor, "accounts/old-ann"))
        assert (account["balance"], account["opened_at"][:10]) == ("72.50", "2024-03-01")
        lines = ok(get(auditor, "accounts/old-bob/transactions"))["transactions"]
        assert [(line["kind"], line["amount"]) for line in lines] == [
            ("deposit", "10.00"), ("withdrawal", "-4.00"), ("transfer_in", "30.00"),
        ]  # fmt: skip
        shown = ok(get(auditor, "events", aggregate_id="old-bob"))["events"]
        assert [event["schema_version"] for event in shown] == [1, 1, 1, 2]
        (row,) = (r for r in old_release["events"] if (r["aggregate_id"], r["version"]) == ("old-bob", 2))
        assert shown[1]["data"] == row["data"], "an event is shown as it was written"
        assert shown[1]["hash"] == row["hash"].removeprefix("\\x")
        then = ok(get(auditor, "accounts/old-ann/balance-at", timestamp="2024-03-01T09:33:04Z"))
        assert (then["balance"], then["final"]) == ("102.50", True)
        (transfer,) = ok(get(auditor, "transfers"))["transfers"]
        assert transfer["description"] == "rent"
        assert ok(get(auditor, "trial-balance"))["balanced"] is True
    call_command("verify_consistency")
    with read_model_connection() as conn:
        for name in ("accounts", "transactions", "transfers"):
            rebuild.build(conn, by_name(name), lambda *_: None)
            rebuild.switch(conn, by_name(name), require_equal=True)
            rebuild.drop_previous(conn, by_name(name))
    assert read_model("SELECT count(*) FROM parked_events") == [(0,)]
