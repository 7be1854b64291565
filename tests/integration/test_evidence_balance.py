"""A balance that comes with its proof convinces the offline script, and no changed byte of it does."""

from __future__ import annotations

import base64
import gzip
import json
import lzma
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from knox.models import AuthToken

from ledger.domain.commands import CreateAccount, Deposit, PlaceHold
from ledger.domain.currencies import codes, decimals_of
from ledger.domain.holds import OPEN_HOLDS_MAX
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from ledger.evidence import verify_evidence
from ledger.store import log_key
from tests.key_world import rotate
from tests.proof_world import Decimal, long_history, order, rows, sign, small_history, submit

pytestmark = pytest.mark.usefixtures("clean_stores")
ANSWER_BYTES_MAX = 8 * 1024
MILLION_HIGH = 20  # the steps of a path in a log of a million events


@pytest.fixture
def auditor(database: None) -> Client:
    user = User.objects.create_user(f"auditor-{uuid4().hex[:8]}")
    user.groups.add(Group.objects.get_or_create(name="auditor")[0])
    _, token = AuthToken.objects.create(user)
    return Client(headers={"Authorization": f"Token {token}"})


def asked(client: Client, account_id: str, version: int) -> Any:
    """Ask for the balance at the very instant of a version."""
    ((instant,),) = rows("SELECT recorded_at FROM events WHERE aggregate_id = %s AND version = %s", account_id, version)
    return client.get(f"/api/v1/accounts/{account_id}/balance-at", {"timestamp": format_instant(instant), "proof": "1"})


def check(tmp_path: Path, answer: dict[str, Any]) -> None:
    path = tmp_path / "balance.json"
    path.write_text(json.dumps(answer))
    verify_evidence.check_balance(path, log_key.load_signer().verifier.vkey)


def test_a_past_balance_is_proven_by_its_event_and_the_next(auditor: Client, tmp_path: Path) -> None:
    small_history()
    response = asked(auditor, "ann", 4)
    answer = response.json()
    assert (answer["balance"], answer["version"]) == ("106.00", 4)
    assert answer["proof"]["next"] is not None
    check(tmp_path, answer)


def test_the_last_balance_is_proven_by_its_event_and_a_signed_statement(auditor: Client, tmp_path: Path) -> None:
    small_history()
    answer = asked(auditor, "bob", 3).json()
    assert answer["balance"] == "27.00"
    assert answer["proof"]["next"] is None
    check(tmp_path, answer)


def test_a_later_event_that_no_head_covers_yet_does_not_spoil_the_proof(auditor: Client, tmp_path: Path) -> None:
    small_history()
    submit(Deposit("bob", Decimal(1)))
    order()
    check(tmp_path, asked(auditor, "bob", 3).json())
    assert asked(auditor, "bob", 4).json()["code"] == "not_yet"


@pytest.mark.parametrize("version", [4, 7])
def test_nothing_in_a_proven_balance_can_be_changed(auditor: Client, tmp_path: Path, version: int) -> None:
    small_history()
    answer = asked(auditor, "ann", version).json()
    check(tmp_path, answer)

    def changed(path: list[str | int], value: Any) -> dict[str, Any]:
        copy = json.loads(json.dumps(answer))
        part = copy
        for key in path[:-1]:
            part = part[key]
        part[path[-1]] = value
        return copy

    other = "0001-01-01T00:00:00.000000Z"
    balance, entries = answer["balance"], answer["proof"]["entries"]
    points = [balance.replace(".", ""), balance.replace(".", "") + ".", f"0{balance}", f"+{balance}", f"{balance} ",
              balance.replace(".", "")[:-1] + "." + balance[-1], balance[0] + "." + balance[1:].replace(".", "")]  # fmt: skip
    changes = [changed(["balance"], "999.00"), changed(["balance"], "-106.00"), changed(["currency"], "EUR"),
               *(changed(["balance"], point) for point in points), changed(["status"], "frozen"),
               changed(["at"], answer["at"][:-2] + "xZ"), changed(["at"], answer["at"][:-1]),
               changed(["proof", "entries"], repacked(entries, b"tester", b"nobody")),
               changed(["proof", "entries"], repacked(entries, b"}", b"}\n{}")),
               changed(["proof", "entries"], base64.b64encode(base64.b64decode(entries) + b"more").decode()),
               changed(["version"], 5), changed(["account_id"], "bob"), changed(["at"], other),
               changed(["proof", "balance_minor"], 1), changed(["proof", "event", "index"], 1),
               changed(["proof", "event", "path", 0], answer["proof"]["event"]["path"][1]),
               changed(["proof", "checkpoint"], answer["proof"]["checkpoint"].replace("\n10\n", "\n11\n"))]  # fmt: skip
    if answer["proof"]["next"]:
        changes += [changed(["at"], "9999-01-01T00:00:00.000000Z"), changed(["proof", "next"], answer["proof"]["event"]),
                    changed(["proof", "next"], None)]  # fmt: skip
    else:
        changes.append(changed(["proof", "statement"], answer["proof"]["statement"].replace("version 8", "version 9")))
    assert answer not in changes, "each of them changes something"
    for forged in changes:
        with pytest.raises((verify_evidence.Broken, KeyError, ValueError)):
            check(tmp_path, forged)


def repacked(entries: str, old: bytes, new: bytes) -> str:
    lines = lzma.decompress(base64.b64decode(entries), format=lzma.FORMAT_ALONE).replace(old, new)
    return base64.b64encode(lzma.compress(lines, format=lzma.FORMAT_ALONE)).decode()


def test_entries_that_would_fill_the_memory_are_not_unpacked(auditor: Client, tmp_path: Path) -> None:
    small_history()
    answer = asked(auditor, "ann", 4).json()
    bomb = lzma.compress(bytes(50_000_000), format=lzma.FORMAT_ALONE)
    answer["proof"]["entries"] = base64.b64encode(bomb).decode()
    with pytest.raises((verify_evidence.Broken, lzma.LZMAError)):
        check(tmp_path, answer)


@pytest.mark.parametrize("amount_minor", [0, 7, -7, 123_456, -90_071_992])
def test_the_offline_script_writes_amounts_as_the_ledger_does(amount_minor: int) -> None:
    for code in codes():
        decimals = verify_evidence.DECIMALS.get(code, 2)
        assert decimals == decimals_of(code)
        assert verify_evidence.written(amount_minor, decimals) == format_minor(amount_minor, code)


def test_of_a_currency_that_no_standard_lists_the_reader_says_the_decimals(auditor: Client, tmp_path: Path) -> None:
    submit(CreateAccount("ann", "Ann", "JPY", Decimal(1_500)))
    sign()
    path = tmp_path / "balance.json"
    path.write_bytes(asked(auditor, "ann", 2).content)
    vkey = log_key.load_signer().verifier.vkey
    verify_evidence.check_balance(path, vkey)
    verify_evidence.check_balance(path, vkey, 0)
    with pytest.raises(verify_evidence.Broken, match=r"15\.00, if JPY has 2 decimals"):
        verify_evidence.check_balance(path, vkey, 2)


def test_a_proven_balance_is_small(auditor: Client) -> None:
    long_history(3_000)
    assert len(asked(auditor, "account-1", 20).content) <= ANSWER_BYTES_MAX // 2


def as_in_a_long_log(answer: dict[str, Any]) -> bytes:
    """Return an answer as it were in a log of a million events: with paths as long, of hashes as random as any."""
    copy = json.loads(json.dumps(answer))
    proof = copy["proof"]
    for part in (proof["event"], proof["next"], *proof.get("succession", {"changes": []})["changes"]):
        part["path"] = [base64.b64encode(os.urandom(32)).decode() for _ in range(MILLION_HIGH)]
    return json.dumps(copy, separators=(",", ":")).encode()


def test_with_as_many_open_holds_as_there_may_be_it_still_is(auditor: Client, tmp_path: Path) -> None:
    submit(CreateAccount("ann", "Ada Augusta King Lovelace", "USD", Decimal(10**7)))
    submit(*(some_hold() for _ in range(OPEN_HOLDS_MAX)))
    submit(Deposit("ann", Decimal(1), "Salary of November"))
    submit(Deposit("ann", Decimal(1), "What came after it"))
    sign()
    version = OPEN_HOLDS_MAX + 3
    plain = asked(auditor, "ann", version).json()
    check(tmp_path, plain)
    assert len(as_in_a_long_log(plain)) <= ANSWER_BYTES_MAX
    rotate()
    sign()
    answer = auditor.get(asked(auditor, "ann", version).request["PATH_INFO"], {"timestamp": plain["at"], "proof": "1"},
                         headers={"Accept-Encoding": "gzip"})  # fmt: skip
    assert answer["Content-Encoding"] == "gzip"
    rotated = json.loads(gzip.decompress(answer.content))
    check(tmp_path, rotated)
    assert rotated["proof"]["succession"]["changes"]
    assert len(gzip.compress(as_in_a_long_log(rotated), 6)) <= ANSWER_BYTES_MAX


def some_hold() -> PlaceHold:
    """Return a hold that no compression makes small: its id, amount and deadline are all like no other's."""
    deadline = datetime.now(UTC) + timedelta(seconds=random.uniform(3_600, 30 * 86_400))
    return PlaceHold("ann", Decimal(random.randint(1, 9_999_999)) / 100, "Hotel", deadline)
