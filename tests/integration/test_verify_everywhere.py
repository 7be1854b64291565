"""verify_ledger finds a change wherever it is: at the first event and the last, at the seams of tiles, in one account.

And what it does not find, because it takes nothing from anybody: a head that is gone from between two others.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ledger.domain.commands import CreateAccount, Deposit
from ledger.drill.forgery import Forgery
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted
from ledger.verify.faults import Kind
from tests.integration.test_verify_ledger import faults, found
from tests.ledger_world import submission
from tests.proof_world import long_history, sign, small_history, submit, tamper
from tests.servers import Servers, libpq

pytestmark = pytest.mark.usefixtures("clean_stores")
EVENT = "(aggregate_id, version) = (SELECT aggregate_id, version FROM journal WHERE position = %s)"
CHANGES = {
    "an owner": (f"UPDATE events SET state = jsonb_set(state, '{{owner_name}}', '\"Mallory\"') WHERE {EVENT}", Kind.STATE),
    "a balance": (f"UPDATE events SET state = jsonb_set(state, '{{balance_minor}}', '7') WHERE {EVENT}", Kind.STATE),
    "an actor": (f"UPDATE events SET metadata = jsonb_set(metadata, '{{actor}}', '\"mallory\"') WHERE {EVENT}", Kind.HASH),
    "a timestamp": (f"UPDATE events SET recorded_at = recorded_at + interval '1 microsecond' WHERE {EVENT}", Kind.HASH),
    "an event's hash": (f"UPDATE events SET hash = set_byte(hash, 0, 255 - get_byte(hash, 0)) WHERE {EVENT}", Kind.JOURNAL_DIFFERS),
    "a journal's hash": ("UPDATE journal SET event_hash = set_byte(event_hash, 0, 255 - get_byte(event_hash, 0)) WHERE position = %s", Kind.JOURNAL_DIFFERS),
    "a running hash": ("UPDATE journal SET running_hash = set_byte(running_hash, 0, 255 - get_byte(running_hash, 0)) WHERE position = %s", Kind.RUNNING_HASH),
    "an event": (f"DELETE FROM events WHERE {EVENT}", Kind.MISSING_EVENT),
    "a position": ("DELETE FROM journal WHERE position = %s", Kind.MISSING_POSITION),
}  # fmt: skip
LAST = 520  # two full tiles and eight leaves of a partial one
PLACES = (1, 256, 257, 512, 513, LAST)


def test_at_the_first_event_the_last_and_the_seams_of_tiles_each_change_is_found_in_its_place(stack: Servers) -> None:
    long_history(LAST)
    keep(stack)
    for what, (statement, kind) in CHANGES.items():
        for place in PLACES:
            assert tamper(stack, statement, place) == 1, what
            seen = {(fault.kind, fault.position) for fault in faults()}
            assert (kind, place) in seen, f"{what} at position {place}: {seen}"
            put_back(stack)
    assert faults() == []
    for table in ("events", "journal"):
        tamper(stack, f"DROP TABLE kept_{table}")


def keep(stack: Servers) -> None:
    for table in ("events", "journal"):
        tamper(stack, f"DROP TABLE IF EXISTS kept_{table}")
        tamper(stack, f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")


def put_back(stack: Servers) -> None:
    for table in ("events", "journal"):
        tamper(stack, f"DELETE FROM {table}")
        tamper(stack, f"INSERT INTO {table} SELECT * FROM kept_{table}")


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("what", [what for what in CHANGES if what not in ("a running hash", "a position")])
def test_in_one_account_too_at_its_first_event_and_its_last(stack: Servers, what: str, place: int) -> None:
    small_history()
    position = [1, 2, 3, 4, 6, 8, 10][place]
    statement, kind = CHANGES[what]
    assert tamper(stack, statement, position) == 1
    assert (kind, position) in {(fault.kind, fault.position) for fault in faults(account_id="ann")}
    if what != "a journal's hash":  # which is a leaf, so that every proof beside it fails
        assert faults(account_id="bob") == []


def test_in_one_account_a_place_taken_from_the_journal_is_found(stack: Servers) -> None:
    small_history()
    tamper(stack, "DELETE FROM journal WHERE position = 4")
    assert (Kind.UNRECORDED_EVENT, None, "ann", 4) in found(account_id="ann")


def test_in_one_account_an_event_slipped_in_with_a_right_hash_is_found(stack: Servers) -> None:
    small_history()
    Forgery(libpq(stack.event_store_owner_url)).slip_in_deposit("bob", 1_000_000)
    assert found(account_id="bob") == {(Kind.UNRECORDED_EVENT, None, "bob", 4)}
    assert faults(account_id="ann") == []


def test_in_one_account_no_event_gets_out_of_the_heads_sight_by_its_position(stack: Servers) -> None:
    small_history()
    waited = "UPDATE events SET recorded_at = recorded_at - interval '2 minutes'"
    tamper(stack, waited)
    tamper(stack, "UPDATE journal SET position = 1000 WHERE position = 10")
    assert (Kind.UNSIGNED, 1000, "ann", 7) in found(account_id="ann")


def keyed() -> Accepted:
    (created,) = execute([submission(CreateAccount("ann", "Ann", "USD", Decimal(9)), idempotency_key="one")])
    execute([submission(Deposit("ann", Decimal(1)), idempotency_key="two")])
    sign()
    assert isinstance(created, Accepted)
    return created


@pytest.mark.parametrize("account_id", [None, "ann"])
def test_a_key_that_was_removed_or_answers_otherwise_is_found_from_its_event(
    stack: Servers, account_id: str | None
) -> None:
    created = keyed()
    assert faults(account_id=account_id) == []
    other = f'{{"command_id": "{created.command_id}", "size": 2}}'
    tamper(stack, "UPDATE idempotency_keys SET outcome = %s::jsonb WHERE key = 'tester/two'", other)
    assert found(account_id=account_id) == {(Kind.IDEMPOTENCY_KEY, 3, "ann", 3)}
    tamper(stack, "UPDATE idempotency_keys SET outcome = outcome || '{\"size\": 3}' WHERE key = 'tester/one'")
    assert (Kind.IDEMPOTENCY_KEY, 1, "ann", 1) in found(account_id=account_id)
    tamper(stack, "DELETE FROM idempotency_keys")
    assert found(account_id=account_id) == {
        (Kind.IDEMPOTENCY_KEY, 1, "ann", 1), (Kind.IDEMPOTENCY_KEY, 3, "ann", 3),
    }  # fmt: skip


def test_a_key_that_is_older_than_promised_may_be_gone(stack: Servers, settings: Any) -> None:
    keyed()
    tamper(stack, "DELETE FROM idempotency_keys")
    settings.IDEMPOTENCY_KEY_DAYS = 0
    assert faults() == []


def test_a_head_gone_from_between_two_others_hides_nothing_and_a_copy_of_it_still_holds(stack: Servers) -> None:
    small_history()
    submit(Deposit("ann", Decimal(1)))
    kept = sign()
    submit(Deposit("ann", Decimal(1)))
    sign()
    assert tamper(stack, "DELETE FROM tree_heads WHERE tree_size = %s", kept.tree_size) == 1
    assert faults(against=(("kept", kept.note),)) == []
    tamper(
        stack,
        "UPDATE events SET state = jsonb_set(state, '{balance_minor}', '7') WHERE aggregate_id = 'ann' AND version = 8",
    )
    assert (Kind.STATE, kept.tree_size, "ann", 8) in found(against=(("kept", kept.note),))
