"""verify_ledger against those who know how it works: consistent rewrites, tiles, forged heads, kept heads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.management import CommandError, call_command

from ledger.domain.commands import CreateAccount
from ledger.drill.forgery import Forgery
from ledger.evidence import verify_evidence
from ledger.store import log_key
from ledger.store.connection import connection
from ledger.store.signed_note import Signer
from ledger.verify.faults import Kind
from ledger.verify.tile_checks import check_upper_tiles
from tests.integration.test_verify_ledger import faults, found
from tests.proof_world import Decimal, long_history, rows, sign, small_history, submit, tamper
from tests.servers import REPOSITORY, Servers, libpq

pytestmark = pytest.mark.usefixtures("clean_stores")
CHANGE_AMOUNT = (
    "UPDATE events SET data = jsonb_set(data, '{amount_minor}', '501'), "
    "state = jsonb_set(state, '{balance_minor}', '10501') WHERE aggregate_id = 'ann' AND version = 3"
)


@pytest.fixture
def forgery(stack: Servers) -> Forgery:
    return Forgery(libpq(stack.event_store_owner_url))


def verify_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "manage.py"), "verify_ledger", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_two_events_that_changed_places_are_found(stack: Servers) -> None:
    small_history()
    tamper(stack, "UPDATE journal SET position = position + 100 WHERE position IN (3, 4)")
    tamper(stack, "UPDATE journal SET position = 107 - position WHERE position > 100")
    assert {(Kind.RUNNING_HASH, 3, "ann", 4), (Kind.VERSION, 3, "ann", 4)} <= found()


def test_an_event_slipped_in_with_a_right_hash_is_found(stack: Servers, forgery: Forgery) -> None:
    small_history()
    forgery.slip_in_deposit("bob", 1_000_000)
    (fault,) = faults()
    assert str(fault) == (
        "after position 9, bob version 4: unrecorded_event: MoneyDeposited is in no journal and in no outbox"
    )


def test_an_event_of_which_no_version_before_it_is_journaled_is_located_by_its_time(stack: Servers) -> None:
    small_history()
    tamper(stack, "DELETE FROM journal WHERE position = 5")
    assert ("bob", 1, 4) in {(fault.aggregate_id, fault.version, fault.after_position) for fault in faults()}
    tamper(stack, "DELETE FROM journal WHERE position = 1")
    assert ("ann", 1, 0) in {(fault.aggregate_id, fault.version, fault.after_position) for fault in faults()}
    assert any(str(fault).startswith("before position 1, ann version 1: unrecorded_event") for fault in faults())


def test_an_altered_event_with_its_hash_and_chain_made_right_again_is_found_by_the_head(
    forgery: Forgery, stack: Servers
) -> None:
    small_history()
    tamper(stack, CHANGE_AMOUNT)
    forgery.rehash_from("ann", 3)
    assert (Kind.HEAD, 10, None, None) in found()


def test_in_a_full_tile_the_very_position_is_named(forgery: Forgery, stack: Servers) -> None:
    long_history(600)
    tamper(stack, "UPDATE events SET metadata = jsonb_set(metadata, '{actor}', '\"mallory\"') WHERE (aggregate_id, version) = "
                  "(SELECT aggregate_id, version FROM journal WHERE position = 400)")  # fmt: skip
    ((account_id, version),) = rows("SELECT aggregate_id, version FROM journal WHERE position = 400")
    forgery.rehash_from(account_id, version)
    tiles = sorted(fault.position or 0 for fault in faults() if fault.kind == Kind.TILE)
    assert tiles[0] == 400


def altered(column: str) -> str:
    return f"UPDATE tiles SET {column} = set_byte({column}, 0, 255 - get_byte({column}, 0)) WHERE level = %s AND tile_index = %s"


@pytest.mark.parametrize("column", ["hashes", "root"])
def test_an_altered_tile_is_found(stack: Servers, column: str) -> None:
    long_history(600)
    assert tamper(stack, altered(column), 0, 1) == 1
    assert (Kind.TILE, 257) in {(fault.kind, fault.position) for fault in faults()}


@pytest.mark.timeout(300)  # a full tile of level 1 takes 65,536 events
def test_an_altered_tile_above_the_leaves_is_found(stack: Servers) -> None:
    long_history(65_536)
    with connection() as conn:
        assert list(check_upper_tiles(conn, 65_536, 65_536)) == []
        assert tamper(stack, altered("hashes"), 1, 0) == 1
        first, *_others = check_upper_tiles(conn, 65_536, 65_536)
        assert (first.kind, first.position) == (Kind.TILE, 1)
        assert "tile 1/0 has" in first.detail
        tamper(stack, "DELETE FROM tiles WHERE level = 1")
        (missing,) = check_upper_tiles(conn, 65_536, 65_536)
        assert (missing.kind, missing.detail) == (Kind.TILE, "tile 1/0 is missing")


def test_a_deleted_tile_is_found(stack: Servers) -> None:
    long_history(600)
    tamper(stack, "DELETE FROM tiles WHERE tile_index = 0")
    assert (Kind.TILE, 1, None, None) in found()


def test_a_tile_beyond_the_journal_is_found(stack: Servers) -> None:
    long_history(300)
    tamper(stack, "INSERT INTO tiles SELECT 0, 7, hashes, root FROM tiles")
    (fault,) = faults()
    assert (fault.kind, fault.position) == (Kind.TILE, 7 * 256 + 1)
    assert "tile 0/7 is stored, and the journal ends before" in fault.detail


def test_positions_that_nobody_signed_for_long_are_found(stack: Servers) -> None:
    small_history()
    tamper(stack, "DELETE FROM tree_heads")
    tamper(stack, "UPDATE journal SET sequenced_at = sequenced_at - interval '2 minutes'")
    assert (Kind.UNSIGNED, 1, None, None) in found()


def test_a_history_signed_with_another_key_is_found(forgery: Forgery) -> None:
    small_history()
    forgery.resign(Signer(settings.LOG_ORIGIN, Ed25519PrivateKey.generate()))
    assert (Kind.HEAD, 10, None, None) in found()


def rewrite_everything(stack: Servers, forgery: Forgery) -> None:
    """What an operator can do who has the key: a consistent, signed, other history."""
    tamper(stack, CHANGE_AMOUNT)
    tamper(stack, "UPDATE events SET state = jsonb_set(state, '{balance_minor}', to_jsonb((state->>'balance_minor')::int + 1)) "
                  "WHERE aggregate_id = 'ann' AND version > 3")  # fmt: skip
    forgery.rehash_from("ann", 3)
    forgery.resign(log_key.load_signer())


def test_an_event_that_the_rules_would_have_refused_is_found_by_deciding_again(
    stack: Servers, forgery: Forgery
) -> None:
    small_history()
    # Well hashed, well signed, replayed right, books balanced: and far more than bob has.
    tamper(stack, "UPDATE events SET data = jsonb_set(data, '{amount_minor}', '99900'), "
                  "state = jsonb_set(state, '{balance_minor}', '-96900') WHERE aggregate_id = 'bob' AND version = 3")  # fmt: skip
    forgery.rehash_from("bob", 3)
    forgery.resign(log_key.load_signer())
    assert faults() == []
    (fault,) = faults(semantic=True)
    assert (fault.kind, fault.position, fault.aggregate_id, fault.version) == (Kind.ILLEGAL, 9, "bob", 3)
    assert "insufficient_funds" in fault.detail


def test_from_a_position_on_earlier_faults_are_left_out(stack: Servers) -> None:
    long_history(600)
    tamper(
        stack,
        "UPDATE journal SET running_hash = set_byte(running_hash, 0, 255 - get_byte(running_hash, 0)) WHERE position IN (5, 599)",
    )
    assert {position for _, position, _, _ in found()} == {5, 6, 599, 600}
    assert {position for _, position, _, _ in found(from_position=300)} == {599, 600}


def test_one_account_is_checked_with_its_proofs(stack: Servers) -> None:
    long_history(600)
    assert faults(account_id="account-1") == []
    tamper(stack, "UPDATE tiles SET hashes = set_byte(hashes, 0, 255 - get_byte(hashes, 0))")
    [(first,)] = rows("SELECT aggregate_id FROM journal WHERE position = 1")
    # The leaf that was altered, and one whose proof leads past it.
    for account_id in {first, "account-1"}:
        assert (Kind.TILE, account_id, 1) in {
            (kind, id_, version) for kind, _, id_, version in found(account_id=account_id)
        }
    tamper(stack, "UPDATE events SET data = '{}' WHERE aggregate_id = 'account-1' AND version = 2")
    assert Kind.HASH in {kind for kind, _, _, version in found(account_id="account-1") if version == 2}
    assert Kind.HASH not in {kind for kind, *_ in found(account_id="account-2")}


def test_a_command_that_lies_on_both_sides_of_a_segment_is_seen_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from ledger.domain.commands import Transfer
    from ledger.verify import run

    monkeypatch.setattr(run, "SEGMENT_POSITIONS", 256)
    submit(
        *(CreateAccount(f"a-{number}", "A", "USD", Decimal(1)) for number in range(127)), CreateAccount("b", "B", "USD")
    )
    submit(Transfer("a-1", "b", Decimal(1)), Transfer("a-2", "b", Decimal(1)))
    sign()
    assert rows("SELECT command_index FROM journal WHERE position = 257") == [(1,)]
    assert faults(semantic=True) == []


def test_the_command_names_the_fault_and_leaves_with_1(stack: Servers, tmp_path: Path) -> None:
    """Its processes share the work out, so this also is the test that they find what one finds."""
    head = long_history(20_000, accounts=50)
    (tmp_path / "kept").write_text(head.note)
    done = verify_command("--against", str(tmp_path / "kept"), "--processes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20000 events" in done.stdout
    tamper(stack, "UPDATE events SET data = jsonb_set(data, '{amount_minor}', '7') WHERE (aggregate_id, version) = "
                  "(SELECT aggregate_id, version FROM journal WHERE position = 19000)")  # fmt: skip
    done = verify_command("--processes", "2")
    assert done.returncode == 1
    assert "position 19000, account-" in done.stdout
    assert "1 faults" not in done.stdout, "hash and state both tell"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "0"),
        ("--processes", "0"),
        ("--account", "ann", "--from", "2"),
        ("--against", "/nowhere/at/all"),
        ("--key", "no+key"),
        ("--against", str(REPOSITORY / "docs/screenshots/books-light.png")),
    ],
)
def test_wrong_usage_is_refused_with_2(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("verify_ledger", *arguments)
    assert refused.value.returncode == 2


def test_wrong_usage_leaves_with_2_and_a_missing_key_with_3() -> None:
    assert verify_command("--from", "0").returncode == 2
    log_key.load_or_create_signer()
    log_key.key_path().rename(log_key.key_path().with_suffix(".away"))
    try:
        assert verify_command().returncode == 3
    finally:
        log_key.key_path().with_suffix(".away").rename(log_key.key_path())


def test_from_beyond_the_log_checks_nothing_and_says_so() -> None:
    small_history()
    assert verify_command("--from", "10").returncode == 0
    done = verify_command("--from", "11")
    assert (done.returncode, done.stdout) == (2, "")
    assert "beyond the last position, 10" in done.stderr


def test_an_account_of_which_nothing_is_journaled_is_not_found_faultless() -> None:
    small_history()
    done = verify_command("--account", "nobody")
    assert (done.returncode, "no event of nobody" in done.stderr, "no fault" in done.stdout) == (2, True, False)


def test_from_what_only_a_head_says_there_was_is_checked(stack: Servers) -> None:
    small_history()
    tamper(stack, "DELETE FROM journal WHERE position > 8")
    done = verify_command("--from", "10")
    assert (done.returncode, "positions 9 to 10 are missing" in done.stdout) == (1, True)


# The transfer of `small_history` is ann's version 5 and bob's version 2; each change is to bob's side alone.
@pytest.mark.parametrize(
    "change",
    [
        "effective_at = effective_at - interval '1 microsecond'",
        "recorded_at = recorded_at + interval '1 microsecond', effective_at = effective_at + interval '1 microsecond'",
        "metadata = jsonb_set(metadata, '{actor}', '\"mallory\"')",
    ],
)
def test_sides_of_a_transfer_that_tell_it_differently_are_found_by_the_rules(
    forgery: Forgery, stack: Servers, tmp_path: Path, change: str
) -> None:
    small_history()
    submit(CreateAccount("later", "Later", "USD"))  # so that recorded_at has room
    assert tamper(stack, f"UPDATE events SET {change} WHERE aggregate_id = 'bob' AND version = 2") == 1
    forgery.rehash_from("bob", 2)
    forgery.resign(log_key.load_signer())
    assert {fault.kind for fault in faults(semantic=True)} == {Kind.ILLEGAL}
    bundle = tmp_path / "evidence.zip"
    call_command("export_evidence", "--period", "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "--output", str(bundle))
    with pytest.raises(verify_evidence.Broken, match="would have been refused"):
        verify_evidence.check_bundle(bundle, log_key.load_signer().verifier.vkey, rules=True)


def test_metadata_that_are_none_are_found_by_the_rules_too(forgery: Forgery, stack: Servers) -> None:
    small_history()
    tamper(stack, "UPDATE events SET metadata = '[]' WHERE aggregate_id = 'ann' AND version = 3")
    assert {Kind.HASH, Kind.JOURNAL_DIFFERS, Kind.ILLEGAL} <= {fault.kind for fault in faults(semantic=True)}
