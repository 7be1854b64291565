"""The log's key gives way to another, recorded in the log: every head verifies with the key of its own size."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from ledger.bus.tree_keeper import TreeExtender
from ledger.domain.commands import Deposit, RotateLogKey
from ledger.domain.events import LOG_KEYS
from ledger.drill.forgery import Forgery
from ledger.engine.execute import execute
from ledger.engine.submission import Rejected, Submission
from ledger.store import log_key, succession, tree_heads
from ledger.store.connection import connection, dedicated_connection
from ledger.store.signed_note import Signer, Verifier
from ledger.store.succession import Trust
from ledger.store.tree_heads import HistoryContradicted
from ledger.verify.faults import Kind
from tests.key_world import current, found, rotate, rotated_history, succession_key
from tests.proof_world import Decimal, order, rows, sign, small_history, submit, tamper
from tests.servers import Servers, libpq

pytestmark = pytest.mark.usefixtures("clean_stores", "own_key")


def test_old_heads_verify_with_the_old_key_and_new_ones_with_the_new_one() -> None:
    first, second = rotated_history()
    assert first != second
    heads = dict(rows("SELECT tree_size, note FROM tree_heads"))
    assert sorted(heads) == [10, 11, 12]
    with connection() as conn:
        trust = Trust(settings.LOG_ORIGIN, (second,), succession.changes(conn))
    assert [trust.keys_at(size) for size in (1, 10, 11, 12, 99)] == [
        (first,),
        (first,),
        (second,),
        (second,),
        (second,),
    ]
    for size, key in ((10, first), (11, second), (12, second)):
        assert f"— {key.name} {base64.b64encode(key.key_id).decode()[:4]}" in heads[size]
        assert trust.open(heads[size]).size == size


def test_a_log_that_changed_its_key_verifies_from_either_key_and_semantically() -> None:
    first, second = rotated_history()
    assert found(first, semantic=True) == []
    assert found(second, semantic=True) == []
    assert found(first, account_id=LOG_KEYS) == []


def test_the_change_is_an_event_that_both_keys_signed() -> None:
    first, second = rotated_history()
    ((event_type, data, state),) = rows("SELECT event_type, data, state FROM events WHERE aggregate_id = 'log:keys'")
    assert (event_type, data["old_key"], data["new_key"]) == ("LogKeyRotated", first.vkey, second.vkey)
    assert state == {"keys": [first.vkey, second.vkey]}
    assert data["note"].count("— ") == 2


def test_a_key_that_gave_way_signs_nothing_new_and_one_that_was_never_named_signs_nothing(stack: Servers) -> None:
    small_history()
    old = log_key.load_signer()
    rotate()
    sign()
    for signer in (old, Signer(settings.LOG_ORIGIN, Ed25519PrivateKey.generate())):
        head = tree_heads_text(11)
        tamper(stack, "UPDATE tree_heads SET note = %s WHERE tree_size = 11", signer.sign(head))
        faults = found(current())
        assert [(fault.kind, fault.position) for fault in faults] == [(Kind.HEAD, 11)]
        assert "no known key signed" in faults[0].detail


def tree_heads_text(size: int) -> str:
    ((note,),) = rows("SELECT note FROM tree_heads WHERE tree_size = %s", size)
    return str(note).rpartition("\n\n")[0] + "\n"


def test_a_change_that_a_superuser_slips_in_without_the_keys_is_found(stack: Servers) -> None:
    small_history()
    mine = Signer(settings.LOG_ORIGIN, Ed25519PrivateKey.generate())
    other = Signer(settings.LOG_ORIGIN, Ed25519PrivateKey.generate())
    text = succession.text_of(current(), mine.verifier)
    # Through the engine, whose rules know no cryptography: only the signature of the key that gives way is missing.
    assert not isinstance(change(current(), mine.verifier, mine.sign(text))[0], Rejected)
    order()
    faults = found(current())
    assert (Kind.KEY, 11, LOG_KEYS, 1) in {(f.kind, f.position, f.aggregate_id, f.version) for f in faults}
    with pytest.raises(succession.SuccessionBroken, match="at position 11"):
        sign()
    assert current() != other.verifier


def change(old: Verifier, new: Verifier, note: str) -> list[Any]:
    return execute([Submission(RotateLogKey(old.vkey, new.vkey, note), actor="tester")])


def test_the_rules_refuse_a_change_that_does_not_follow() -> None:
    first, second = rotated_history()
    third = Signer(settings.LOG_ORIGIN, Ed25519PrivateKey.generate()).verifier
    for old, new in ((first, third), (second, first), (second, second)):
        (outcome,) = change(old, new, "")
        assert isinstance(outcome, Rejected)
        assert outcome.error.code == "invalid_succession"


def test_the_new_key_has_mode_0600_and_the_old_one_is_gone_when_it_signs() -> None:
    small_history()
    first = current()
    rotate()
    waiting = log_key.next_path()
    assert (waiting.stat().st_mode & 0o777, current()) == (0o600, first), "until the relay comes to the change"
    sign()
    assert not waiting.exists()
    assert (log_key.key_path().stat().st_mode & 0o777, current() == first) == (0o600, False)
    with pytest.raises(log_key.LogKeyUnusable):
        log_key.find_signer(first)


def test_a_key_changes_more_than_once() -> None:
    keys = [rotated_history()[1]]
    for _ in range(2):
        rotate()
        sign()
        keys.append(current())
    assert len(set(keys)) == 3
    assert found(keys[0]) == found(keys[-1]) == []


# Every step of a rotation can be the last one before a crash.


def test_a_crash_after_the_key_was_made_changes_nothing_and_the_next_run_takes_that_key() -> None:
    small_history()
    first, waiting = current(), log_key.load_or_create_next().verifier
    submit(Deposit("ann", Decimal(1)))
    sign()
    assert (current(), found(first)) == (first, [])
    rotate()
    sign()
    assert (current(), found(first)) == (waiting, [])


def test_a_crash_after_the_event_was_recorded_leaves_the_rest_to_the_relay(capsys: pytest.CaptureFixture[str]) -> None:
    small_history()
    first = current()
    rotate()
    call_command("rotate_log_key")
    assert "recorded before" in capsys.readouterr().out
    sign()
    assert current() != first
    assert rows("SELECT count(*) FROM events WHERE aggregate_id = 'log:keys'") == [(1,)]
    assert found(first) == []


def test_a_crash_between_the_first_new_head_and_the_exchange_of_files_leaves_a_working_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_history()
    first = current()
    rotate()

    def killed(signer: Signer) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(log_key, "install", killed)
        with pytest.raises(KeyboardInterrupt):
            sign()
    assert (current(), log_key.next_path().exists()) == (first, True)
    assert rows("SELECT max(tree_size) FROM tree_heads") == [(11,)]
    assert found(first) == []
    assert Client().get("/log/key").text.strip() == succession_key()
    submit(Deposit("ann", Decimal(1)))
    sign()
    assert (current().vkey, log_key.next_path().exists()) == (succession_key(), False)
    assert found(first) == found(current()) == []


def test_a_relay_without_the_named_key_signs_nothing_and_says_which_key_it_needs() -> None:
    small_history()
    rotate()
    log_key.next_path().unlink()
    with pytest.raises(log_key.LogKeyUnusable, match="neither"):
        sign()
    assert rows("SELECT max(tree_size) FROM tree_heads") == [(10,)]


def test_two_relays_come_over_a_change_together() -> None:
    small_history()
    with dedicated_connection() as conn:
        one, other = TreeExtender(), TreeExtender()
        one.advance(conn)
        other.advance(conn)
        rotate()
        order()
        assert one.advance(conn) == 11
        submit(Deposit("ann", Decimal(1)))
        order()
        assert other.advance(conn) == 12
    assert found(current()) == []


# The key file and the remembered head are what a relay could lose.


def test_a_log_with_heads_gets_no_new_key_because_its_file_is_gone() -> None:
    small_history()
    log_key.key_path().unlink()
    submit(Deposit("ann", Decimal(1)))
    with pytest.raises(log_key.LogKeyUnusable):
        sign()
    assert not log_key.key_path().exists()


def test_a_relay_whose_memory_was_deleted_still_continues_the_head_in_the_table(stack: Servers) -> None:
    small_history()
    tree_heads.memory_path().unlink()
    submit(Deposit("ann", Decimal(1)))
    sign()
    tree_heads.memory_path().unlink()
    tamper(
        stack,
        "UPDATE journal SET event_hash = set_byte(event_hash, 0, 255 - get_byte(event_hash, 0)) WHERE position = 4",
    )
    submit(Deposit("ann", Decimal(1)))
    with pytest.raises(HistoryContradicted, match="the first 11 positions are not those"):
        sign()


def test_a_history_signed_anew_with_the_key_of_today_is_found_where_another_was_signing(stack: Servers) -> None:
    rotated_history()
    forgery = Forgery(libpq(stack.event_store_owner_url))
    forgery.resign(log_key.load_signer())
    assert [(fault.kind, fault.position) for fault in found(current())] == [(Kind.HEAD, 10)]
