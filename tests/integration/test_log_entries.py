"""An entry of the log has its length in two bytes: what is longer is refused before it is written."""

from __future__ import annotations

import struct

import pytest
from django.test import Client

from chronicle.roles import Role
from ledger.domain.commands import CreateAccount, Deposit, Transfer
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Rejected, Submission
from ledger.store.hashing import leaf_hash
from ledger.store.recorded import ENTRY_BYTES_MAX, canonical_bytes
from tests.api_world import client_with
from tests.proof_world import Decimal, rows, sign, submit

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.fixture
def auditor(database: None) -> Client:
    return client_with(Role.AUDITOR)


def room_for_description() -> int:
    """Return how long the description of ann's next deposit may be: the entry is its only part that varies."""
    (outcome,) = execute([Submission(Deposit("ann", Decimal(1)), actor="tester")], dry_run=True)
    assert isinstance(outcome, Accepted)
    return ENTRY_BYTES_MAX - len(canonical_bytes(outcome.events[0]))


def test_an_entry_as_long_as_two_bytes_can_say_is_written_and_served(auditor: Client) -> None:
    submit(CreateAccount("ann", "Ann", "USD"))
    submit(Deposit("ann", Decimal(1), "x" * room_for_description()))
    sign()
    bundle = auditor.get("/log/tile/entries/000.p/2").content
    (first,) = struct.unpack(">H", bundle[:2])
    (second,) = struct.unpack(">H", bundle[2 + first : 4 + first])
    assert (second, len(bundle)) == (ENTRY_BYTES_MAX, 4 + first + ENTRY_BYTES_MAX)
    ((event_hash,),) = rows("SELECT event_hash FROM journal WHERE position = 2")
    assert leaf_hash(bundle[4 + first :]) == event_hash


def test_one_byte_more_is_refused_and_leaves_no_trace_on_what_comes_with_it() -> None:
    submit(CreateAccount("ann", "Ann", "USD", Decimal(9)), CreateAccount("bob", "Bob", "USD"))
    room = room_for_description()
    commands = [
        Deposit("ann", Decimal(1)),
        Deposit("ann", Decimal(1), "x" * (room + 1)),
        Transfer("ann", "bob", Decimal(1), "x" * (room + 1)),
        Deposit("ann", Decimal(1)),
    ]
    first, *refused, last = execute([Submission(command, actor="tester") for command in commands])
    for outcome in refused:
        assert isinstance(outcome, Rejected)
        assert (outcome.error.code, outcome.error.status) == ("event_too_large", 400)
        assert outcome.error.fields == {"bytes_max": ENTRY_BYTES_MAX}
    assert isinstance(first, Accepted)
    assert isinstance(last, Accepted)
    assert [event.version for event in (*first.events, *last.events)] == [3, 4]
    assert last.events[0].previous_hash == first.events[0].hash
    assert last.events[0].state["balance_minor"] == 1_100
    assert rows("SELECT count(*) FROM refusals") == [(0,)]
    assert rows("SELECT max(version) FROM events WHERE aggregate_id = 'bob'") == [(1,)]
