"""verify_ledger over commands that no relay has ordered yet: what was slipped in for it to sign, and what was not."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ledger.domain.commands import CreateAccount, Deposit, StartTransfer, Transfer, Withdraw
from ledger.drill.forgery import Forgery
from ledger.engine.execute import execute
from ledger.store import log_key
from ledger.verify.faults import Kind
from tests.every_command import RandomCommands
from tests.integration.test_verify_ledger import faults
from tests.ledger_world import submission
from tests.proof_world import order, rows, sign, small_history, submit, tamper
from tests.servers import Servers, libpq

pytestmark = pytest.mark.usefixtures("clean_stores")
# What the engine writes beside an event, made from the event itself.
QUEUE = """
INSERT INTO outbox (command_id, recorded_at, events)
SELECT (metadata ->> 'command_id')::uuid, recorded_at,
       jsonb_build_array(jsonb_build_array(event_id, aggregate_id, version, event_type, encode(hash, 'hex')))
FROM events WHERE aggregate_id = 'bob' AND version = 4
"""


@pytest.fixture
def forgery(stack: Servers) -> Forgery:
    return Forgery(libpq(stack.event_store_owner_url))


def test_commands_of_every_kind_that_wait_are_no_faults() -> None:
    log_key.load_or_create_signer()
    submit(CreateAccount("ann", "Ann", "USD", Decimal(100)), CreateAccount("bob", "Bob", "USD"))
    order()
    submit(Deposit("bob", Decimal(1)), StartTransfer("ann", "bob", Decimal(2)), CreateAccount("eve", "Eve", "USD"))
    submit(Transfer("ann", "eve", Decimal(3)), StartTransfer("bob", "eve", Decimal(1)))
    execute([submission(Deposit("ann", Decimal(1)), idempotency_key="one")])
    for account_id in (None, "ann", "eve"):
        assert faults(semantic=True, account_id=account_id) == []
    RandomCommands(["ann", "bob", "eve"], random.Random(5)).execute(120)
    assert rows("SELECT count(*) > 30 FROM outbox") == [(True,)]
    assert faults(semantic=True) == []


def test_a_deposit_that_gets_everything_right_is_a_command_to_whoever_reads_what_is_stored(
    stack: Servers, forgery: Forgery
) -> None:
    """What docs/proofs.md says of a writer: nothing stored tells. Should this ever fail, say there what does."""
    small_history()
    forgery.slip_in_deposit("bob", 1_000_000)
    assert tamper(stack, QUEUE) == 1
    assert faults(semantic=True) == []
    sign()
    assert faults(semantic=True) == []


def test_a_deposit_made_from_one_that_came_with_a_key_is_found_by_the_key(stack: Servers, forgery: Forgery) -> None:
    small_history()
    execute([submission(Withdraw("ann", Decimal(1)), idempotency_key="one")])
    tamper(
        stack,
        "UPDATE events SET metadata = metadata || '{\"idempotency_key\": \"one\"}' WHERE aggregate_id = 'bob' AND version = 3",
    )
    forgery.rehash_from("bob", 3)
    forgery.slip_in_deposit("bob", 1_000_000)
    tamper(stack, QUEUE)
    assert (Kind.IDEMPOTENCY_KEY, "bob", 4) in {(fault.kind, fault.aggregate_id, fault.version) for fault in faults()}


def waiting_deposit() -> None:
    small_history()
    submit(Deposit("bob", Decimal(5)))


REFERENCES = "UPDATE outbox SET events = jsonb_set(events, '{{0,{0}}}', %s::jsonb)"
# What is changed of a deposit that waits, whether it is hashed again afterwards, and by what it is then found.
CHANGES: dict[str, tuple[str, bool, Kind]] = {
    "its amount": ("UPDATE events SET data = data || '{\"amount_minor\": 501}' WHERE {event}", True, Kind.STATE),
    "its state": ("UPDATE events SET state = state || '{\"balance_minor\": 1}' WHERE {event}", True, Kind.STATE),
    "a hash": ("UPDATE events SET metadata = metadata || '{\"actor\": \"eve\"}' WHERE {event}", False, Kind.HASH),
    "its id": ("UPDATE events SET event_id = gen_random_uuid() WHERE {event}", True, Kind.EVENT_ID),
    "its command": ("UPDATE events SET metadata = metadata || '{\"command_id\": \"7\"}' WHERE {event}", True, Kind.JOURNAL_DIFFERS),
    "its command's size": ("UPDATE events SET metadata = metadata || '{\"command_size\": 2}' WHERE {event}", True, Kind.JOURNAL_DIFFERS),
    "an earlier time": ("UPDATE events SET recorded_at = recorded_at - interval '1 hour' WHERE {event}", True, Kind.RECORDED_AT),
    "a later time": ("UPDATE events SET recorded_at = recorded_at + interval '1 hour' WHERE {event}", True, Kind.TIME),
    "its books": ("UPDATE events SET data = data || '{\"counter_account\": \"ann\"}' WHERE {event}", True, Kind.BOOKS),
    "nothing of it": ("DELETE FROM events WHERE {event}", False, Kind.MISSING_EVENT),
    "its place": ("UPDATE outbox SET recorded_at = recorded_at - interval '1 second'", False, Kind.OUTBOX),
    "a hash that it is ordered by": ("UPDATE outbox SET events = jsonb_set(events, '{0,4}', to_jsonb(repeat('ab', 32)))", False, Kind.JOURNAL_DIFFERS),
    "the type that it is ordered by": ("UPDATE outbox SET events = jsonb_set(events, '{0,3}', '\"x\"')", False, Kind.JOURNAL_DIFFERS),
    "the command that it is ordered by": ("UPDATE outbox SET command_id = gen_random_uuid()", False, Kind.JOURNAL_DIFFERS),
}  # fmt: skip
EVENT = "aggregate_id = 'bob' AND version = 4"


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("account_id", [None, "bob"])
def test_a_waiting_event_that_differs_from_what_a_command_leaves_is_found(
    stack: Servers, forgery: Forgery, what: str, account_id: str | None
) -> None:
    statement, is_rehashed, kind = CHANGES[what]
    waiting_deposit()
    assert tamper(stack, statement.replace("{event}", EVENT)) == 1
    if is_rehashed:
        forgery.rehash_from("bob", 4)
        tamper(stack, "UPDATE outbox SET recorded_at = e.recorded_at, events = jsonb_set(jsonb_set(outbox.events, '{0,4}', "
                      f"to_jsonb(encode(e.hash, 'hex'))), '{{0,0}}', to_jsonb(e.event_id)) FROM events AS e WHERE {EVENT}")  # fmt: skip
    found = faults(account_id=account_id)
    assert (kind, None, "bob", 4) in {(f.kind, f.position, f.aggregate_id, f.version) for f in found}, found
    assert any("waits in the outbox" in fault.detail for fault in found)


def test_a_waiting_withdrawal_of_more_than_there_is_is_found_by_the_rules(stack: Servers, forgery: Forgery) -> None:
    small_history()
    submit(Withdraw("bob", Decimal(3)))
    tamper(
        stack,
        f"UPDATE events SET data = data || '{{\"amount_minor\": 99900}}', state = state || '{{\"balance_minor\": -97200}}' WHERE {EVENT}",
    )
    forgery.rehash_from("bob", 4)
    tamper(
        stack,
        f"UPDATE outbox SET events = jsonb_set(events, '{{0,4}}', to_jsonb(encode(e.hash, 'hex'))) FROM (SELECT hash FROM events WHERE {EVENT}) AS e",
    )
    assert faults() == []
    (fault,) = faults(semantic=True)
    assert (fault.kind, fault.aggregate_id, fault.version) == (Kind.ILLEGAL, "bob", 4)
    assert "insufficient_funds" in fault.detail


def test_a_command_that_waits_and_has_its_positions_is_found(stack: Servers) -> None:
    small_history()
    tamper(stack, QUEUE.replace("version = 4", "version = 3"))
    (fault,) = faults()
    assert (fault.kind, fault.position, fault.aggregate_id, fault.version) == (Kind.OUTBOX, 9, "bob", 3)


NONSENSE = ("null", "5", "[]", "{}", '"x"', "[1]", "[[]]", "[[1, 2, 3, 4, 5]]", '[["a", "bob", -1, "x", "00"]]',
            '[["a", "bob", 123456789012345678901234567890, "x", "00"]]', '[["a", "bob", "1", "x", "zz"]]',
            '[[null, null, null, null, null]]', "[" * 2000 + "]" * 2000)  # fmt: skip


@pytest.mark.parametrize("account_id", [None, "ann"])
def test_an_event_slipped_in_under_the_name_of_a_command_that_waits_is_found(
    stack: Servers, forgery: Forgery, account_id: str | None
) -> None:
    small_history()
    (waiting,) = submit(Deposit("bob", Decimal(1)))
    version = forgery.slip_in_deposit("ann", 1_000_000)
    tamper(stack, "UPDATE events SET metadata = jsonb_set(metadata, '{command_id}', to_jsonb(%s::text)) "
                  "WHERE aggregate_id = 'ann' AND version = %s", str(waiting.command_id), version)  # fmt: skip
    found = [(fault.kind, fault.aggregate_id, fault.version) for fault in faults(account_id=account_id)]
    assert found == [(Kind.UNRECORDED_EVENT, "ann", version)]


def test_what_waits_and_cannot_be_read_is_found(stack: Servers) -> None:
    log_key.load_or_create_signer()
    small_history()
    for value in NONSENSE:
        tamper(stack, "DELETE FROM outbox")
        command_id = uuid4()
        tamper(stack, "INSERT INTO outbox VALUES (%s, clock_timestamp(), %s::jsonb)", command_id, value)
        (fault,) = faults(semantic=True)
        assert (fault.kind, str(command_id) in fault.detail) == (Kind.OUTBOX, True), value
        assert faults(account_id="ann") == []


def test_a_relay_that_orders_what_is_being_verified_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from ledger.verify import waiting

    waiting_deposit()
    read: Callable[..., Any] = waiting._read

    def reading(references: str) -> Any:
        order()  # between the outbox and the events that it names
        return read(references)

    monkeypatch.setattr(waiting, "_read", reading)
    assert faults(semantic=True) == []
    assert rows("SELECT count(*) FROM outbox") == [(0,)]
