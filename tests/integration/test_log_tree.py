"""The tree behind the journal: built as the journal grows, healed after a crash, signed once and consistently."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from psycopg import errors

from ledger.bus.jetstream import connected
from ledger.bus.relay import Relay
from ledger.bus.tree_keeper import TreeExtender
from ledger.domain.commands import CreateAccount
from ledger.errors import StoreConflict
from ledger.store import log_key, tree_heads
from ledger.store.connection import connection, dedicated_connection
from ledger.store.merkle import tree_hash
from ledger.store.tiles import split_hashes
from ledger.store.tree import TreeIncomplete, TreeReader
from ledger.store.tree_head_note import open_tree_head
from ledger.store.tree_heads import HistoryContradicted
from tests.proof_world import long_history, order, rows, sign, small_history, submit, tamper
from tests.servers import Servers
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")


def leaves() -> list[bytes]:
    return [row[0] for row in rows("SELECT event_hash FROM journal ORDER BY position")]


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what, 20.0)


def test_the_signed_head_is_the_root_over_every_event_hash_in_order() -> None:
    stored = small_history()
    head = open_tree_head(stored.note, [log_key.load_signer().verifier], settings.LOG_ORIGIN)
    assert (head.size, head.root) == (10, tree_hash(leaves()))


def test_full_tiles_are_stored_and_partial_ones_are_not() -> None:
    head = long_history(700)
    stored = rows("SELECT level, tile_index, hashes FROM tiles ORDER BY level, tile_index")
    assert [row[:2] for row in stored] == [(0, 0), (0, 1)]
    assert split_hashes(b"".join(row[2] for row in stored)) == leaves()[:512]
    assert head.root == tree_hash(leaves())


def test_a_tree_extended_in_pieces_is_the_tree_extended_at_once() -> None:
    long_history(300)
    submit(CreateAccount("later", "Later", "USD"))
    head = sign()
    assert head.tree_size == 301
    assert head.root == tree_hash(leaves())
    assert [row[0] for row in rows("SELECT tree_size FROM tree_heads ORDER BY tree_size")] == [300, 301]


def test_what_a_dead_relay_left_between_journal_and_tiles_is_made_up_for_by_the_next() -> None:
    long_history(300)
    long_history_rest = [CreateAccount(f"more-{number}", "More", "USD") for number in range(400)]
    submit(*long_history_rest)
    order()  # … and the process dies here
    assert rows("SELECT count(*) FROM tiles") == [(1,)]
    assert sign().root == tree_hash(leaves())
    assert rows("SELECT count(*) FROM tiles") == [(2,)]


def test_of_two_relays_that_extend_the_tree_one_wins_and_the_other_reads_again() -> None:
    long_history(200)
    with dedicated_connection() as conn:
        slow, quick = TreeExtender(), TreeExtender()
        slow.advance(conn)
        quick.advance(conn)
        submit(*(CreateAccount(f"more-{number}", "More", "USD") for number in range(100)))
        order()
        quick.advance(conn)
        with pytest.raises(StoreConflict):
            slow.advance(conn)
        assert slow.advance(conn) == 300
    assert rows("SELECT count(*) FROM tiles") == [(1,)]
    assert rows("SELECT count(*) FROM tree_heads WHERE tree_size = 300") == [(1,)]


def test_a_proof_hash_is_the_same_at_every_size_the_tree_ever_had() -> None:
    long_history(600)
    all_leaves = leaves()
    with connection() as conn:
        for size in (1, 2, 255, 256, 257, 511, 512, 513, 600):
            assert TreeReader(conn, size).root() == tree_hash(all_leaves[:size]), size


def test_a_journal_with_a_hole_gets_no_head(stack: Servers) -> None:
    submit(*(CreateAccount(f"more-{number}", "More", "USD") for number in range(3)))
    order()
    assert tamper(stack, "DELETE FROM journal WHERE position = 2") == 1
    with pytest.raises(TreeIncomplete, match="positions 1 to 3 the journal has 2"):
        sign()
    assert rows("SELECT count(*) FROM tree_heads") == [(0,)]


def test_no_head_is_signed_over_a_history_that_became_shorter(stack: Servers) -> None:
    small_history()
    for table, column in [("journal", "position"), ("tree_heads", "tree_size")]:
        assert tamper(stack, f"DELETE FROM {table} WHERE {column} > 9") == 1
    with pytest.raises(HistoryContradicted, match="over 10 positions was signed, and the journal has 9"):
        sign()


def test_no_head_is_signed_over_a_history_that_became_another(stack: Servers) -> None:
    small_history()
    tamper(
        stack,
        "UPDATE journal SET event_hash = set_byte(event_hash, 0, 255 - get_byte(event_hash, 0)) WHERE position = 4",
    )
    submit(CreateAccount("later", "Later", "USD"))
    with pytest.raises(HistoryContradicted, match="the first 10 positions are not those"):
        sign()
    tree_heads.memory_path().unlink()
    with pytest.raises(HistoryContradicted, match="the first 10 positions are not those"):
        sign()
    tamper(stack, "DELETE FROM tree_heads")
    assert sign().tree_size == 11, "it was the heads that refused"


@pytest.mark.parametrize("table", ["tiles", "tree_heads"])
@pytest.mark.parametrize("statement", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_the_database_refuses_to_change_tiles_and_heads(table: str, statement: str) -> None:
    column = {"tiles": "level", "tree_heads": "tree_size"}[table]
    with connection() as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement.format(table, column))  # type: ignore[arg-type]


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path, settings: Any) -> None:
    settings.LOG_SIGNING_KEY = str(tmp_path / "folder" / "key.pem")
    with ThreadPoolExecutor(8) as executor:
        signers = list(executor.map(lambda _: log_key.load_or_create_signer(), range(8)))
    assert len({signer.verifier for signer in signers}) == 1
    assert log_key.key_path().stat().st_mode & 0o777 == 0o600
    assert [path.name for path in log_key.key_path().parent.iterdir()] == ["key.pem"]


@pytest.mark.parametrize("content", ["", "no key\n"])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, settings: Any, content: str) -> None:
    settings.LOG_SIGNING_KEY = str(tmp_path / "key.pem")
    with pytest.raises(log_key.LogKeyUnusable):
        log_key.load_signer()
    log_key.key_path().write_text(content)
    with pytest.raises(log_key.LogKeyUnusable):
        log_key.load_or_create_signer()


async def test_a_running_relay_puts_every_event_under_a_head_before_it_ends(nats_url: str) -> None:
    stop = asyncio.Event()
    async with connected("test-relay") as client:
        relay = asyncio.create_task(Relay(client, stop).run())
        await asyncio.to_thread(submit, *(CreateAccount(f"a-{n}", "A", "USD") for n in range(300)))
        await until(lambda: rows("SELECT max(tree_size) FROM tree_heads") == [(300,)], "a head over 300 positions")
        await asyncio.to_thread(submit, CreateAccount("last", "Last", "USD"))
        await until(lambda: rows("SELECT count(*) FROM journal") == [(301,)], "the last event in the journal")
        stop.set()
        await asyncio.wait_for(relay, 60)
    assert await asyncio.to_thread(rows, "SELECT max(tree_size) FROM tree_heads") == [(301,)]
