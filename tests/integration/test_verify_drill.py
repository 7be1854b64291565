"""The tamper drill sees every attack, finds nothing on an untouched copy, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from ledger.drill.attacks import attacks
from ledger.store import log_key
from tests.proof_world import long_history, rows
from tests.servers import REPOSITORY, Servers, libpq

pytestmark = pytest.mark.usefixtures("clean_stores")


def drill() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "manage.py"), "tamper_drill"]
    return subprocess.run(command, capture_output=True, text=True)


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
    assert f"{len(attacks())} of {len(attacks())} attacks detected" in done.stdout
    (overdrawn,) = [line for line in done.stdout.splitlines() if "more than there is" in line]
    assert "illegal" in overdrawn, "by the rules alone, whoever kept a head or not"
    assert (rows("SELECT max(running_hash) FROM journal"), databases(stack)) == before


def test_without_a_signed_history_there_is_nothing_to_attack() -> None:
    log_key.load_or_create_signer()
    done = drill()
    assert (done.returncode, "no tree head was signed yet" in done.stderr) == (3, True)
