"""verify_ledger finds every altered byte and says where: a table of what a database's superuser could do."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings

from ledger.store import log_key
from ledger.store.succession import Trust
from ledger.verify.faults import Fault, Kind
from ledger.verify.run import Request, verify
from tests.proof_world import long_history, small_history, tamper
from tests.servers import Servers

pytestmark = pytest.mark.usefixtures("clean_stores")


def faults(**options: Any) -> list[Fault]:
    trust = Trust(settings.LOG_ORIGIN, (log_key.load_signer().verifier,))
    return verify(Request(trust, processes=1, **options)).faults


def found(**options: Any) -> set[tuple[Kind, int | None, str | None, int | None]]:
    return {(fault.kind, fault.position, fault.aggregate_id, fault.version) for fault in faults(**options)}


def test_an_untouched_log_has_no_faults() -> None:
    long_history(600)
    assert faults(semantic=True) == []


def test_an_empty_log_has_no_faults() -> None:
    log_key.load_or_create_signer()
    assert faults() == []


# What is changed, and a fault that must be among those found. The history is `small_history`.
ALTERATIONS = {
    "an amount": ("UPDATE events SET data = jsonb_set(data, '{amount_minor}', '501') WHERE aggregate_id = 'ann' AND version = 3",
                  (Kind.HASH, 3, "ann", 3)),
    "an amount shows in the replay too": (
        "UPDATE events SET data = jsonb_set(data, '{amount_minor}', '501') WHERE aggregate_id = 'ann' AND version = 3",
        (Kind.STATE, 3, "ann", 3)),
    "a balance": ("UPDATE events SET state = jsonb_set(state, '{balance_minor}', '1') WHERE aggregate_id = 'bob' AND version = 2",
                  (Kind.STATE, 7, "bob", 2)),
    "an owner": ("UPDATE events SET data = jsonb_set(data, '{owner_name}', '\"Mallory\"') WHERE aggregate_id = 'ann' AND version = 1",
                 (Kind.HASH, 1, "ann", 1)),
    "a description": ("UPDATE events SET data = jsonb_set(data, '{description}', '\"gift\"') WHERE aggregate_id = 'ann' AND version = 4",
                      (Kind.HASH, 4, "ann", 4)),
    "an actor": ("UPDATE events SET metadata = jsonb_set(metadata, '{actor}', '\"mallory\"') WHERE aggregate_id = 'ann' AND version = 4",
                 (Kind.HASH, 4, "ann", 4)),
    "a recorded_at": ("UPDATE events SET recorded_at = recorded_at + interval '1 microsecond' WHERE aggregate_id = 'ann' AND version = 5",
                      (Kind.HASH, 6, "ann", 5)),
    "a recorded_at before the version before": (
        "UPDATE events SET recorded_at = recorded_at - interval '1 hour' WHERE aggregate_id = 'ann' AND version = 5",
        (Kind.RECORDED_AT, 6, "ann", 5)),
    "an effective_at": ("UPDATE events SET effective_at = effective_at - interval '1 day' WHERE aggregate_id = 'bob' AND version = 3",
                        (Kind.HASH, 9, "bob", 3)),
    "an event type": ("UPDATE events SET event_type = 'MoneyWithdrawn' WHERE aggregate_id = 'ann' AND version = 3",
                      (Kind.JOURNAL_DIFFERS, 3, "ann", 3)),
    "an aggregate type": ("UPDATE events SET aggregate_type = 'transfer' WHERE aggregate_id = 'ann' AND version = 3",
                          (Kind.HASH, 3, "ann", 3)),
    "a schema version": ("UPDATE events SET schema_version = schema_version + 1 WHERE aggregate_id = 'ann' AND version = 3",
                         (Kind.HASH, 3, "ann", 3)),
    "an event id": ("UPDATE events SET event_id = gen_random_uuid() WHERE aggregate_id = 'ann' AND version = 3",
                    (Kind.JOURNAL_DIFFERS, 3, "ann", 3)),
    "a float for an integer": ("UPDATE events SET data = jsonb_set(data, '{amount_minor}', '500.5') WHERE aggregate_id = 'ann' AND version = 3",
                               (Kind.HASH, 3, "ann", 3)),
    "data that is no object": ("UPDATE events SET data = '[]' WHERE aggregate_id = 'ann' AND version = 3",
                               (Kind.STATE, 3, "ann", 3)),
    "a state that is no object": ("UPDATE events SET state = '5' WHERE aggregate_id = 'ann' AND version = 3",
                                  (Kind.STATE, 3, "ann", 3)),
    "metadata that is no object": ("UPDATE events SET metadata = 'null' WHERE aggregate_id = 'ann' AND version = 3",
                                   (Kind.JOURNAL_DIFFERS, 3, "ann", 3)),
    "an event's hash": ("UPDATE events SET hash = set_byte(hash, 0, 255 - get_byte(hash, 0)) WHERE aggregate_id = 'ann' AND version = 2",
                        (Kind.JOURNAL_DIFFERS, 2, "ann", 2)),
    "a link of the chain": ("UPDATE events SET previous_hash = set_byte(hash, 0, 255 - get_byte(hash, 0)) WHERE aggregate_id = 'ann' AND version = 2",
                            (Kind.PREVIOUS_HASH, 2, "ann", 2)),
    "the first link of a chain": ("UPDATE events SET previous_hash = set_byte(hash, 0, 255 - get_byte(hash, 0)) WHERE aggregate_id = 'ann' AND version = 1",
                                  (Kind.PREVIOUS_HASH, 1, "ann", 1)),
    "a deleted event": ("DELETE FROM events WHERE aggregate_id = 'ann' AND version = 4",
                        (Kind.MISSING_EVENT, 4, "ann", 4)),
    "a deleted event breaks the chain after it": ("DELETE FROM events WHERE aggregate_id = 'ann' AND version = 4",
                                                  (Kind.VERSION, 6, "ann", 5)),
    "a deleted position": ("DELETE FROM journal WHERE position = 4", (Kind.MISSING_POSITION, 4, None, None)),
    "an event the journal does not have": ("DELETE FROM journal WHERE position = 4",
                                           (Kind.UNRECORDED_EVENT, None, "ann", 4)),
    "the last position": ("DELETE FROM journal WHERE position = 10", (Kind.MISSING_POSITION, 10, None, None)),
    "the last position that a head was signed for": ("DELETE FROM journal WHERE position = 10", (Kind.HEAD, 10, None, None)),
    "a journal hash": ("UPDATE journal SET event_hash = set_byte(event_hash, 0, 255 - get_byte(event_hash, 0)) WHERE position = 5",
                       (Kind.RUNNING_HASH, 5, "bob", 1)),
    "a running hash": ("UPDATE journal SET running_hash = set_byte(running_hash, 0, 255 - get_byte(running_hash, 0)) WHERE position = 5",
                       (Kind.RUNNING_HASH, 5, "bob", 1)),
    "a journal's event id": ("UPDATE journal SET event_id = gen_random_uuid() WHERE position = 5",
                             (Kind.JOURNAL_DIFFERS, 5, "bob", 1)),
    "a journal's event type": ("UPDATE journal SET event_type = 'x' WHERE position = 5", (Kind.JOURNAL_DIFFERS, 5, "bob", 1)),
    "a journal's aggregate": ("UPDATE journal SET aggregate_id = 'eve' WHERE position = 5", (Kind.MISSING_EVENT, 5, "eve", 1)),
    "a journal's version": ("UPDATE journal SET version = 9 WHERE position = 5", (Kind.MISSING_EVENT, 5, "bob", 9)),
    "a journal's command": ("UPDATE journal SET command_id = gen_random_uuid() WHERE position = 7", (Kind.COMMAND, 7, "bob", 2)),
    "a command's size": ("UPDATE journal SET command_size = 1 WHERE position = 6", (Kind.JOURNAL_DIFFERS, 6, "ann", 5)),
    "a command's index": ("UPDATE journal SET command_index = 0 WHERE position = 7", (Kind.COMMAND, 7, "bob", 2)),
    "a time of sequencing": ("UPDATE journal SET sequenced_at = sequenced_at - interval '1 hour' WHERE position = 5",
                             (Kind.TIME, 5, "bob", 1)),
    "a mark of lateness": ("UPDATE journal SET is_late = true WHERE position = 5", (Kind.TIME, 5, "bob", 1)),
    "a head's signature": (
        "UPDATE tree_heads SET note = substr(note, 1, length(note) - 10)"
        " || CASE substr(note, length(note) - 9, 1) WHEN 'A' THEN 'B' ELSE 'A' END || substr(note, length(note) - 8)",
        (Kind.HEAD, 10, None, None)),
    "a head's text": ("UPDATE tree_heads SET note = replace(note, E'\n10\n', E'\n11\n')", (Kind.HEAD, 10, None, None)),
    "a line added to a head's signatures": (
        "UPDATE tree_heads SET note = note || '— a.witness AAAAAAAAAAAA' || chr(10)", (Kind.HEAD, 10, None, None)),
    "a head's signature twice": (
        "UPDATE tree_heads SET note = note || substr(note, position('— ' in note))", (Kind.HEAD, 10, None, None)),
    "a head's time, made earlier": ("UPDATE tree_heads SET signed_at = signed_at - interval '1 hour'",
                                    (Kind.TIME, 10, None, None)),
    "a head's time, made later": ("UPDATE tree_heads SET signed_at = signed_at + interval '1 hour'",
                                  (Kind.TIME, 10, None, None)),
    "a head's place": ("UPDATE tree_heads SET tree_size = 9", (Kind.HEAD, 9, None, None)),
}  # fmt: skip


@pytest.mark.parametrize("what", ALTERATIONS)
def test_every_kind_of_stored_byte_is_guarded(stack: Servers, what: str) -> None:
    small_history()
    statement, fault = ALTERATIONS[what]
    assert tamper(stack, statement) == 1
    assert fault in found()


def test_a_fault_says_what_differs(stack: Servers) -> None:
    small_history()
    statement, _ = ALTERATIONS["a balance"]
    tamper(stack, statement)
    described = [str(fault) for fault in faults()]
    assert "position 7, bob version 2: state: balance_minor is stored as 1, replaying gives 3000" in described
    assert any(line.startswith("position 7, bob version 2: hash: stored ") for line in described)
