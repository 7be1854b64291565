"""A balance that comes with its proof convinces the offline script, and no changed byte of it does."""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
from collections.abc import Iterator
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
from ledger.evidence.balance import packed
from ledger.store import log_key
from tests.key_world import rotate
from tests.proof_world import Decimal, long_history, order, rows, sign, small_history, submit

pytestmark = pytest.mark.usefixtures("clean_stores")
ANSWER_BYTES_MAX = 8 * 1024
MILLION_HIGH, MILLION_DIGITS = 20, 7  # the steps of a path in a log of a million events, and the digits of an index


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


def test_the_last_balance_is_proven_by_its_event_and_a_signed_statement(
    auditor: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`at` is proven by nothing then: what the script cannot hold against an old answer, it says."""
    small_history()
    answer = asked(auditor, "bob", 3).json()
    assert answer["balance"] == "27.00"
    assert answer["proof"]["next"] is None
    check(tmp_path, {**answer, "at": "2999-01-01T00:00:00.000000Z"})
    said = capsys.readouterr().out
    assert "no later event of it among the first 10" in said
    assert "NOTE: an old answer can be given a later instant: compare that head with the log's last one" in said


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
    balance, packed = answer["balance"], answer["proof"]["packed"]
    points = [balance.replace(".", ""), balance.replace(".", "") + ".", f"0{balance}", f"+{balance}", f"{balance} ",
              balance.replace(".", "")[:-1] + "." + balance[-1], balance[0] + "." + balance[1:].replace(".", "")]  # fmt: skip
    changes = [changed(["balance"], "999.00"), changed(["balance"], "-106.00"), changed(["currency"], "EUR"),
               *(changed(["balance"], point) for point in points), changed(["status"], "frozen"),
               changed(["at"], answer["at"][:-2] + "xZ"), changed(["at"], answer["at"][:-1]),
               changed(["proof", "packed"], repacked(packed, "tester", "nobody")),
               changed(["proof", "packed"], repacked(packed, "}", "}\n{}")),
               changed(["proof", "packed"], base64.b85encode(base64.b85decode(packed) + b"more").decode()),
               changed(["version"], 5), changed(["account_id"], "bob"), changed(["at"], other),
               changed(["proof", "balance_minor"], 1), changed(["proof", "event", "index"], 1),
               changed(["proof", "packed"], repacked(packed, verify_evidence.unpack(packed)[1].split()[0], "00" * 32)),
               changed(["owner_name"], "Ann"),
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


def test_a_proven_balance_says_each_thing_once_and_nothing_beside(auditor: Client, tmp_path: Path) -> None:
    """Of two balances in one object this reader would take the last, and another one the first."""
    small_history()
    text, path = json.dumps(asked(auditor, "ann", 4).json()), tmp_path / "balance.json"
    for where, slipped_in in (
        ("{", '"balance": "999.00",'),
        ('"event": {', '"index": 99,'),
        ('"proof": {', '"note": "",'),
    ):
        path.write_text(text.replace(where, where + slipped_in, 1))
        with pytest.raises(verify_evidence.Broken, match=r"stands twice|other fields"):
            verify_evidence.check_balance(path, log_key.load_signer().verifier.vkey)


def repacked(text: str, old: str, new: str) -> str:
    return packed("\n".join(verify_evidence.unpack(text)).replace(old, new).encode())


def leaves(value: Any, *path: str | int) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every value of a JSON document that is no object and no list, with the way to it."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield path, value
        return
    for key, part in parts:
        yield from leaves(part, *path, key)


def altered(value: Any) -> list[Any]:
    """Return other values of a kind: of a text, one with another letter in each place, without one, and with one more."""
    if value is None or isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, -value - 1, str(value), float(value), None]
    other = [f"{value[:n]}{'B' if letter == 'A' else 'A'}{value[n + 1 :]}" for n, letter in enumerate(value)]
    return [*other, value[1:], f"{value}A", None]


@pytest.mark.parametrize("version", [4, 7], ids=["with a next event", "with a statement"])
def test_no_field_of_the_answer_is_believed_that_nothing_proves(
    auditor: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str], version: int
) -> None:
    """Whatever is altered the script refuses, or it has said that it does not rely on the field."""
    small_history()
    answer = asked(auditor, "ann", version).json()
    check(tmp_path, answer)
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "not relied upon" in line]
    free = set[str]()
    for path, value in leaves(answer):
        for other in altered(value):
            copy: Any = json.loads(json.dumps(answer))
            part = copy
            for key in path[:-1]:
                part = part[key]
            part[path[-1]] = other
            try:
                check(tmp_path, copy)
            except (verify_evidence.Broken, *verify_evidence.UNREADABLE):
                continue
            if path[-1] == "packed" and verify_evidence.unpack(other) == verify_evidence.unpack(value):
                continue  # the same text, packed in another way
            free.add(".".join(map(str, path)))
    assert "final" in free
    assert free <= set(verify_evidence.NOT_PROVEN)
    assert all(name in said for name in free)


def test_an_altered_word_of_finality_is_not_repeated(
    auditor: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_history()
    for version, is_final in ((4, True), (7, False)):
        answer = asked(auditor, "ann", version).json()
        printed = set[str]()
        for final in (True, False, "for ever"):
            check(tmp_path, {**answer, "final": final})
            printed.add(capsys.readouterr().out)
        (said,) = printed
        assert (", and finally" in said) == is_final, "that the next event is proven is what makes it final"


def test_what_would_fill_the_memory_is_not_unpacked(auditor: Client, tmp_path: Path) -> None:
    small_history()
    answer = asked(auditor, "ann", 4).json()
    answer["proof"]["packed"] = packed(bytes(50_000_000))
    with pytest.raises(verify_evidence.Broken, match="does not end where it should"):
        check(tmp_path, answer)


def test_what_is_packed_is_what_is_unpacked() -> None:
    """Also what only looks like an instant, an id or a hash, or would be spelled otherwise."""
    texts = ["", "é — 0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "2026-13-01T00:00:00.000000Z",
             "2026-02-30T00:00:00.000000Z", "2026-01-01T24:00:00.000000Z", "2026-01-01T23:59:60.000000Z",
             "0000-01-01T00:00:00.000000Z", "A" * 64, "a" * 65, "a" * 63, str(uuid4()), str(uuid4()).upper(),
             f"transfer:{uuid4()}{uuid4()}", "2026-01-01T00:00:00.000000", os.urandom(32).hex() * 3]  # fmt: skip
    for text in [*texts, "".join(texts)]:
        assert "\n".join(verify_evidence.unpack(packed(text.encode()))) == text


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
    lines = verify_evidence.unpack(answer["proof"]["packed"])
    for number in (1, 3):
        lines[number] = " ".join(os.urandom(32).hex() for _ in range(MILLION_HIGH))
    proof = {**answer["proof"], "packed": packed("\n".join(lines).encode())}
    index = 10**MILLION_DIGITS - 1
    proof |= {"event": {"index": index}, "next": {"index": index}}
    return json.dumps({**answer, "proof": proof}, separators=(",", ":")).encode()


@pytest.mark.usefixtures("own_key")
def test_with_as_many_open_holds_as_there_may_be_and_three_changes_of_keys_it_still_is(
    auditor: Client, tmp_path: Path
) -> None:
    submit(CreateAccount("ann", "Ada Augusta King Lovelace", "USD", Decimal(10**7)))
    submit(*(some_hold() for _ in range(OPEN_HOLDS_MAX)))
    submit(Deposit("ann", Decimal(1), "Salary of November"))
    submit(Deposit("ann", Decimal(1), "What came after it"))
    sign()
    first, sizes = log_key.load_signer().verifier.vkey, []
    for changes in range(4):
        answer = asked(auditor, "ann", OPEN_HOLDS_MAX + 3).json()
        (tmp_path / "balance.json").write_text(json.dumps(answer))
        for key in (first, log_key.load_signer().verifier.vkey):
            verify_evidence.check_balance(tmp_path / "balance.json", key)
        assert len(verify_evidence.unpack(answer["proof"]["packed"])) == 4 + (changes > 0)
        sizes.append(len(as_in_a_long_log(answer)))
        rotate()
        sign()
    assert max(sizes) <= ANSWER_BYTES_MAX, sizes


def test_who_takes_gzip_gets_it(auditor: Client) -> None:
    small_history()
    plain = asked(auditor, "ann", 4)
    answer = auditor.get(plain.request["PATH_INFO"], {"timestamp": plain.json()["at"], "proof": "1"},
                         headers={"Accept-Encoding": "gzip"})  # fmt: skip
    assert answer["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.content)) == plain.json()


def some_hold() -> PlaceHold:
    """Return a hold that no compression makes small: its id, amount and deadline are all like no other's."""
    deadline = datetime.now(UTC) + timedelta(seconds=random.uniform(3_600, 30 * 86_400))
    return PlaceHold("ann", Decimal(random.randint(1, 9_999_999)) / 100, "Hotel", deadline)
