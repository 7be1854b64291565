"""The tamper drill sees and locates every attack, finds nothing on an untouched copy, and leaves nothing behind."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Event

import psycopg
import pytest
from django.core.management import call_command

from chronicle.processes import Stopped
from ledger.domain.commands import CreateAccount, Deposit, Withdraw
from ledger.drill.attacks import attacks
from ledger.drill.place import Place
from ledger.drill.scratch import Scratch
from ledger.store import log_key
from tests.key_world import rotate
from tests.proof_world import Decimal, long_history, rows, sign, submit
from tests.servers import REPOSITORY, Servers, libpq
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")
MANAGE = [sys.executable, str(REPOSITORY / "manage.py")]


def drill() -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MANAGE, "tamper_drill"], capture_output=True, text=True)


def databases(stack: Servers) -> set[str]:
    with psycopg.connect(libpq(stack.event_store_owner_url)) as conn:
        return {name for (name,) in conn.execute("SELECT datname FROM pg_database")}


@pytest.mark.timeout(300)  # twelve copies are made, attacked and verified
def test_every_attack_is_seen_and_the_original_is_untouched(stack: Servers) -> None:
    assert len(attacks()) >= 8
    long_history(300)
    before = rows("SELECT max(running_hash) FROM journal"), databases(stack)
    done = drill()
    assert done.returncode == 0, done.stdout + done.stderr
    assert all_located(done.stdout)
    (overdrawn,) = [line for line in done.stdout.splitlines() if "more than there is" in line]
    assert "illegal" in done.stdout[done.stdout.index(overdrawn) :], "by the rules alone, whoever kept a head or not"
    assert (rows("SELECT max(running_hash) FROM journal"), databases(stack)) == before


def all_located(printed: str) -> bool:
    many = len(attacks())
    return f"{many} of {many} attacks detected, {many} where they were made" in printed


@pytest.mark.timeout(300)
@pytest.mark.parametrize("changes", [1, 2])
@pytest.mark.parametrize("is_late", [True, False], ids=["in the tail", "before the middle"])
@pytest.mark.usefixtures("own_key")
def test_after_changes_of_the_key_each_attack_is_found_where_it_was_made(changes: int, is_late: bool) -> None:
    """An attacker with today's key cannot sign what an earlier one signed, and does not try to."""
    grow(8 if is_late else 2)
    for _ in range(changes):
        rotate()
        sign()
    if not is_late:
        grow(8)
    printed = io.StringIO()
    call_command("tamper_drill", stdout=printed)
    assert all_located(printed.getvalue()), printed.getvalue()
    (forked,) = [line for line in printed.getvalue().splitlines() if "fork the history" in line]
    assert "--against" in forked, "what is left of the log is signed, each head by the key of its size"


def grow(times: int) -> None:
    """Sign a head after every few events, as a relay does."""
    for number in range(times):
        submit(*([CreateAccount("ann", "Ann", "USD")] if not number and not rows("SELECT 1 FROM journal LIMIT 1") else []),
               *[Deposit("ann", Decimal(2))] * 5, Withdraw("ann", Decimal(1)))  # fmt: skip
        sign()


@contextmanager
def traffic() -> Iterator[None]:
    """A relay, and somebody who never stops depositing."""
    stop = Event()

    def write() -> None:
        while not stop.is_set():
            submit(*[Deposit("account-1", Decimal(1))] * 3)
            stop.wait(0.05)

    relay = subprocess.Popen([*MANAGE, "relay_events"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with ThreadPoolExecutor(1) as writer:
        try:
            written = writer.submit(write)
            signed = rows("SELECT max(tree_size) FROM tree_heads")
            wait_for(lambda: rows("SELECT max(tree_size) FROM tree_heads") > signed, "a head of the relay's")
            yield
        finally:
            stop.set()
            relay.send_signal(signal.SIGTERM)
            assert relay.wait(60) == 0
    assert written.result() is None


@pytest.mark.timeout(300)
def test_it_is_right_while_the_ledger_goes_on() -> None:
    long_history(100)
    with traffic():
        (before,) = rows("SELECT max(position) FROM journal")
        done = drill()
        (after,) = rows("SELECT max(position) FROM journal")
    assert before[0] + 20 < after[0], "it went on"
    assert done.returncode == 0, done.stdout + done.stderr
    assert all_located(done.stdout)
    assert "false alarm" not in done.stdout


def begun(stack: Servers) -> tuple[subprocess.Popen[str], set[str]]:
    """Start a drill and return it with the copies that were seen first: it goes on making and dropping others."""
    before = databases(stack)
    process = subprocess.Popen([*MANAGE, "tamper_drill"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def copies() -> set[str]:
        assert process.poll() is None, "it ended before it was stopped"
        made = databases(stack) - before
        return made if any(not name.endswith("_pristine") for name in made) else set()

    return process, wait_for(copies, "a copy that is attacked")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_stops_it_finds_no_copies(stack: Servers, number: signal.Signals) -> None:
    long_history(60)
    before = databases(stack)
    process, _ = begun(stack)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (128 + number, False), said
    assert databases(stack) == before


def attack_nothing(scratch: Scratch) -> None:
    try:
        with scratch.fresh():
            pass
    finally:
        scratch.drop()


@pytest.mark.parametrize("at", range(3))
def test_a_stop_while_a_copy_is_dropped_leaves_none(stack: Servers, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    before, drop, drops = databases(stack), Scratch._drop, count()

    def stopped(scratch: Scratch, name: str) -> None:
        if next(drops) == at:
            raise Stopped
        drop(scratch, name)

    scratch = Scratch()
    scratch.copy()
    monkeypatch.setattr(Scratch, "_drop", stopped)
    with pytest.raises(Stopped):
        attack_nothing(scratch)
    assert databases(stack) == before


@pytest.mark.timeout(300)
def test_what_a_killed_drill_left_the_next_one_drops_and_nothing_of_one_that_runs(stack: Servers) -> None:
    long_history(60)
    before = databases(stack)
    killed, _ = begun(stack)
    killed.kill()
    killed.communicate(timeout=60)
    left = databases(stack) - before
    assert any(name.endswith("_pristine") for name in left), "nobody dropped them"
    with psycopg.connect(libpq(stack.event_store_owner_url), autocommit=True) as owner:
        owner.execute("CREATE DATABASE chronicle_drill_of_somebody_else")
    try:
        running, its_own = begun(stack)
        try:
            assert not left & databases(stack), "the second drill dropped them"
            other = Scratch()
            other.drop_leftovers()
            other.drop()
            assert its_own - databases(stack) <= {name for name in its_own if "pristine" not in name}
            assert running.poll() is None
        finally:
            running.terminate()
            running.communicate(timeout=60)
        assert databases(stack) == before | {"chronicle_drill_of_somebody_else"}, "by name alone it was no drill's"
    finally:
        with psycopg.connect(libpq(stack.event_store_owner_url), autocommit=True) as owner:
            owner.execute("DROP DATABASE chronicle_drill_of_somebody_else")


def test_without_a_signed_history_there_is_nothing_to_attack() -> None:
    log_key.load_or_create_signer()
    done = drill()
    assert (done.returncode, "no tree head was signed yet" in done.stderr) == (3, True)


def test_an_attack_that_is_found_elsewhere_is_not_located() -> None:
    made, lock = Place(7, 7, "ann", 3), Place(lock="UPDATE on events")
    right = [Place(7, 7, "ann", 3), Place(None, None, "ann", 3), Place(5, 9), Place(7, 7)]
    wrong = [Place(7, 7, "bob", 3), Place(None, None, "ann", 4), Place(8, 9), Place(), lock]
    assert [found.meets(made) for found in right + wrong] == [True] * 4 + [False] * 5
    assert [made.meets(found) for found in right + wrong] == [True] * 4 + [False] * 5
    assert Place(lock="the role chronicle_app has UPDATE on events").meets(lock)
    assert not Place(lock="the role chronicle_app has DELETE on events").meets(lock)
