"""import_commands: every line is carried out exactly once, however often and however rudely it is interrupted."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from chronicle.processes import CHECK_FAILED, USAGE
from ledger.subjects.texts import open_all
from tests.api_world import new_id
from tests.import_world import Imported, deposits, jsonl, outcomes
from tests.ledger_world import history, new_account, rows, table_sizes

pytestmark = pytest.mark.usefixtures("database")
CSV_HEADER = ("type", "account_id", "amount", "idempotency_key")
STORED_KEYS = "SELECT count(*) FROM idempotency_keys WHERE key LIKE %s"


def balance(account_id: str) -> int:
    return history(account_id)[-1][2]


def test_a_second_run_replays_every_line_and_writes_nothing(tmp_path: Path) -> None:
    account_id = new_account()
    path = jsonl(tmp_path / "in.jsonl", *deposits(account_id, 1, 2, 3))
    first = Imported(path)
    assert (first.code, first.printed) == (0, "3 lines: 3 accepted (0 of them before), 0 rejected, 0 malformed")
    before = table_sizes()
    second = Imported(path)
    assert (second.code, second.printed) == (0, "3 lines: 3 accepted (3 of them before), 0 rejected, 0 malformed")
    assert table_sizes() == before
    assert balance(account_id) == 6_00


def test_a_csv_file_does_what_the_same_commands_do_elsewhere(tmp_path: Path) -> None:
    one, two = new_id(), new_id()
    path = tmp_path / "in.csv"
    path.write_text(
        "type,idempotency_key,account_id,owner_name,currency,initial_balance,from_account_id,to_account_id,amount,description,expected_version\n"
        f'create-account,,{one},"Ada, Countess",USD,10,,,,,\n'
        f"create-account,,{two},Bob,USD,,,,,,\n"
        f'transfer,{one}-rent,,,,,{one},{two},2.50,"Rent ""June""",\n'
        f"deposit,,{two},,,,,,1,,2\n"
        f"deposit,,{two},,,,,,1,,2\n"
    )
    answers = tmp_path / "answers.jsonl"
    imported = Imported(path, "--outcomes", str(answers))
    assert imported.code == CHECK_FAILED
    assert imported.faults.startswith("line 6: version_conflict: ")
    found = outcomes(answers)
    assert [answer["line"] for answer in found] == [2, 3, 4, 5, 6]
    assert [answer["success"] for answer in found] == [True] * 4 + [False]
    assert found[2]["idempotency_key"] == f"{one}-rent"
    assert found[3]["balances"][two]["balance"] == "3.50"
    assert (balance(one), balance(two)) == (7_50, 3_50)
    ((data, actor),) = rows("SELECT data, metadata->>'actor' FROM events WHERE aggregate_id = %s AND version = 3", one)
    assert (open_all([data])[0]["description"], actor) == ('Rent "June"', "importer")


def test_lines_that_say_the_same_are_as_many_commands_wherever_they_stand(tmp_path: Path) -> None:
    account_id = new_account()
    one, two = deposits(account_id, 5, 7)
    path = jsonl(tmp_path / "in.jsonl", one, one, two)
    assert Imported(path).code == 0
    assert balance(account_id) == 17_00
    # Another file, sorted otherwise, with one line more: only that one is new. 5.00 is the same amount as 5.
    again = jsonl(tmp_path / "other.jsonl", two, {**one, "amount": 5}, {**one, "amount": "5.00"}, one)
    assert Imported(again).printed.startswith("4 lines: 4 accepted (3 of them before)")
    assert balance(account_id) == 22_00
    assert Imported(again, "--run", "july").printed.startswith("4 lines: 4 accepted (0 of them before)")
    assert Imported(again, "--run", "july").printed.startswith("4 lines: 4 accepted (4 of them before)")
    assert Imported(again, actor="another").printed.startswith("4 lines: 4 accepted (0 of them before)")
    assert balance(account_id) == 66_00


def test_a_key_used_for_another_line_is_an_error_of_that_line(tmp_path: Path) -> None:
    account_id, key = new_account(), new_id("key")
    one, two = ({**element, "idempotency_key": key} for element in deposits(account_id, 1, 2))
    imported = Imported(jsonl(tmp_path / "in.jsonl", one, one, two))
    assert imported.printed == "3 lines: 2 accepted (1 of them before), 1 rejected, 0 malformed"
    assert imported.faults.startswith("line 3: idempotency_key_reused: ")
    assert balance(account_id) == 1_00


def test_a_malformed_line_is_named_and_nothing_of_it_is_written(tmp_path: Path) -> None:
    account_id = new_account()
    one, two, three = deposits(account_id, 1, 2, 3)
    path = jsonl(tmp_path / "in.jsonl", one, '{"type": "depo', {**two, "amount": "2.001"}, {**two, "note": "x"}, three)
    imported = Imported(path)
    assert imported.code == CHECK_FAILED
    assert imported.printed == "5 lines: 2 accepted (0 of them before), 0 rejected, 3 malformed"
    assert [fault.split(": ")[:2] for fault in imported.faults.splitlines()] == [
        ["line 2", "invalid_json"], ["line 3", "too_many_decimals"], ["line 4", "unknown_field"],
    ]  # fmt: skip
    assert balance(account_id) == 4_00
    jsonl(path, one, two, three)  # mended
    assert Imported(path).printed == "3 lines: 3 accepted (2 of them before), 0 rejected, 0 malformed"
    assert balance(account_id) == 6_00


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
@pytest.mark.parametrize("arguments", [(), ("--atomic",), ("--dry-run",)])
def test_a_malformed_line_is_answered_with_its_number_and_with_its_key_if_it_shows_one(
    tmp_path: Path, suffix: str, arguments: tuple[str, ...]
) -> None:
    account_id, answers, path = new_account(), tmp_path / "answers.jsonl", tmp_path / f"in.{suffix}"
    deposit = deposits(account_id, 1)[0]
    lines: list[Any] = [
        {**deposit, "amount": "no", "idempotency_key": "of-a-field"},
        {**deposit, "type": "nothing", "idempotency_key": "of-the-type"},
        {**deposit, "idempotency_key": "a blank"},
        {**deposit, "amount": "no"},
        '"broken',
    ]
    if suffix == "csv":
        rows_ = [
            line if isinstance(line, str) else ",".join(line.get(name, "") for name in CSV_HEADER) for line in lines
        ]
        path.write_text("\n".join([",".join(CSV_HEADER), *rows_]))
    else:
        jsonl(path, *lines, json.dumps({**deposit, "amount": 7, "idempotency_key": "\ud800"}), '{"idempotency_key": 7}')
    Imported(path, "--outcomes", str(answers), *arguments)
    found = [(answer["line"], answer["idempotency_key"], answer["success"]) for answer in outcomes(answers)]
    first, count = (2, 5) if suffix == "csv" else (1, 7)
    assert found[:2] == [(first, "of-a-field", False), (first + 1, "of-the-type", False)]
    assert found[2:] == [(first + number, None, False) for number in range(2, count)]


def test_with_stop_on_error_nothing_from_a_malformed_line_on_is_written(tmp_path: Path) -> None:
    account_id = new_account()
    one, two, three = deposits(account_id, 1, 2, 3)
    path = jsonl(tmp_path / "in.jsonl", one, two, "{", three)
    assert Imported(path, "--stop-on-error").printed.startswith("3 lines: 2 accepted")
    assert balance(account_id) == 3_00


def test_with_stop_on_error_the_batch_of_a_rejected_line_is_the_last(tmp_path: Path) -> None:
    account_id = new_account()
    refused = {"type": "withdraw", "account_id": account_id, "amount": "100"}
    path = jsonl(tmp_path / "in.jsonl", *deposits(account_id, 1), refused, *deposits(account_id, 2, 4))
    assert Imported(path, "--stop-on-error", "--batch", "2").printed == "2 lines: 1 accepted (0 of them before), 1 rejected, 0 malformed"  # fmt: skip
    assert balance(account_id) == 1_00
    assert Imported(path, "--batch", "2").printed == "4 lines: 3 accepted (1 of them before), 1 rejected, 0 malformed"
    assert balance(account_id) == 7_00


@pytest.mark.parametrize("wrong", ["{", '{"type": "withdraw", "account_id": "%s", "amount": "100"}'])
def test_an_atomic_batch_happens_whole_or_not_at_all(tmp_path: Path, wrong: str) -> None:
    account_id = new_account()
    line = wrong % account_id if "%" in wrong else wrong
    path = jsonl(
        tmp_path / "in.jsonl", *deposits(account_id, 1, 2), *deposits(account_id, 4), line, *deposits(account_id, 8)
    )
    answers = tmp_path / "answers.jsonl"
    assert Imported(path, "--atomic", "--batch", "2", "--outcomes", str(answers)).code == CHECK_FAILED
    assert [answer.get("code", "accepted") for answer in outcomes(answers)][:3] == [
        "accepted",
        "accepted",
        "batch_aborted",
    ]
    assert balance(account_id) == 11_00


def test_a_dry_run_answers_and_writes_nothing(tmp_path: Path) -> None:
    account_id = new_account()
    path = jsonl(
        tmp_path / "in.jsonl",
        *deposits(account_id, 1, 2),
        {"type": "withdraw", "account_id": account_id, "amount": "4"},
    )
    before, answers = table_sizes(), tmp_path / "answers.jsonl"
    imported = Imported(path, "--dry-run", "--outcomes", str(answers))
    assert imported.printed.endswith("2 accepted (0 of them before), 1 rejected, 0 malformed; nothing was written")
    assert outcomes(answers)[1]["balances"][account_id]["balance"] == "3.00"
    assert table_sizes() == before


@pytest.mark.parametrize("arguments", [(), ("--atomic",)])
def test_a_dry_run_of_many_batches_answers_what_the_import_then_answers(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Money that came in an earlier batch is there, an account opened in one too, and a key is used up."""
    account_id, opened, key = new_account(), new_id(), new_id("key")
    path = jsonl(
        tmp_path / "in.jsonl",
        {"type": "create-account", "account_id": opened, "owner_name": "Ann", "currency": "USD"},
        *deposits(account_id, 3),
        {"type": "transfer", "from_account_id": account_id, "to_account_id": opened, "amount": "2", "description": "a"},
        {"type": "withdraw", "account_id": account_id, "amount": "1.50", "idempotency_key": key},
        {"type": "withdraw", "account_id": opened, "amount": "1.50", "idempotency_key": f"{key}-2", "description": "b"},
        {"type": "close-account", "account_id": account_id},
        {"type": "withdraw", "account_id": opened, "amount": "1.50", "idempotency_key": f"{key}-2", "description": "b"},
        {"type": "withdraw", "account_id": opened, "amount": "1", "idempotency_key": f"{key}-2", "description": "b"},
        {"type": "place-hold", "account_id": opened, "amount": "0.50", "description": "c"},
        {"type": "withdraw", "account_id": opened, "amount": "0.01"},
    )
    before, tried, done = table_sizes(), tmp_path / "tried.jsonl", tmp_path / "done.jsonl"
    Imported(path, "--dry-run", "--batch", "1", "--outcomes", str(tried), *arguments)
    assert table_sizes() == before
    Imported(path, "--batch", "1", "--outcomes", str(done), *arguments)
    codes = [answer.get("code", "replayed" if answer.get("replayed") else "accepted") for answer in outcomes(done)]
    assert codes == [
        "accepted", "accepted", "accepted", "insufficient_funds", "accepted", "account_not_empty", "replayed",
        "idempotency_key_reused", "accepted", "insufficient_funds",
    ]  # fmt: skip
    for one, other in zip(outcomes(tried), outcomes(done), strict=True):
        assert _without_ids(one) == _without_ids(other)


def _without_ids(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer less what every execution makes anew."""
    new = ("event_id", "command_id", "transfer_id", "hold_id", "events", "instance", "recorded_at", "effective_at")
    types = [event["type"] for event in answer.get("events", [])]
    return {**{name: value for name, value in answer.items() if name not in new}, "types": types}


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = new_account()
    content = f"type,account_id,amount\ndeposit,{account_id},3\n".encode()
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content)))
    assert Imported("-", "--format", "csv").code == 0
    assert balance(account_id) == 3_00


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.jsonl",), "No such file"),
        (("-",), "--format says what"),
        (("in.txt",), "--format says what"),
        (("in.jsonl", "--batch", "0"), "--batch is 1 to"),
        (("in.jsonl", "--batch", "10001"), "--batch is 1 to"),
        (("in.jsonl", "--run", "a b"), "--run is up to"),
        (("in.jsonl", "--outcomes", "in.jsonl"), "would overwrite"),
        (("in.jsonl", "--outcomes", "no/such/folder"), "No such file"),
        (("in.jsonl", "--format", "csv"), "one of them is type"),
    ],
)
def test_wrong_usage_is_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    content = jsonl(tmp_path / "in.jsonl", *deposits(new_account(), 1)).read_text()
    before = table_sizes()
    imported = Imported(*arguments)
    assert imported.code == USAGE
    assert said in imported.faults
    assert table_sizes() == before
    assert (tmp_path / "in.jsonl").read_text() == content


def test_an_actor_that_is_none_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "in.jsonl", *deposits(new_account(), 1))
    for actor in (" ", "a\x00b", "a" * 151, "ledger:sagas", "importer/x"):
        assert Imported(path, actor=actor).code == USAGE
