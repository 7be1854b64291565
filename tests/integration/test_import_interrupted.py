"""import_commands that ends in the middle: run again, it goes on, and every line happens once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chronicle.processes import CHECK_FAILED, MISSING
from ledger.engine import execute as engine
from ledger.engine.submission import Submission
from ledger.errors import InternalError, StoreUnavailable
from ledger.importing import run as importing
from tests.api_world import new_id
from tests.import_world import Imported, deposits, jsonl, outcomes
from tests.ledger_world import history, new_account, scalar
from tests.servers import REPOSITORY
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("database")
STORED_KEYS = "SELECT count(*) FROM idempotency_keys WHERE key LIKE %s"


def balance(account_id: str) -> int:
    return history(account_id)[-1][2]


def test_a_store_that_goes_away_ends_it_and_a_second_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = new_account()
    path = jsonl(tmp_path / "in.jsonl", *deposits(account_id, *range(1, 11)))
    execute, calls = importing.execute_elements, []

    def fail_third(*arguments: Any, **options: Any) -> Any:
        calls.append(True)
        done = execute(*arguments, **options)
        if len(calls) == 3:
            raise StoreUnavailable("the event store does not answer")  # and has done it all the same
        return done

    with monkeypatch.context() as patch:
        patch.setattr(importing, "execute_elements", fail_third)
        imported = Imported(path, "--batch", "2")
    assert imported.code == MISSING
    assert "carried out up to line 4" in imported.faults
    assert Imported(path, "--batch", "3").printed == "10 lines: 10 accepted (6 of them before), 0 rejected, 0 malformed"
    assert balance(account_id) == 55_00


def test_a_defect_ends_it_at_the_line_that_it_came_with_and_a_second_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id, answers = new_account(), tmp_path / "answers.jsonl"
    path = jsonl(tmp_path / "in.jsonl", *deposits(account_id, 1, 2, 3, 4))
    real = engine.execute_in_one_transaction

    def fall_over(submissions: Sequence[Submission], **options: Any) -> Any:
        if any(submission.command.amount == 3 for submission in submissions):  # type: ignore[union-attr]
            raise ZeroDivisionError("a defect")
        return real(submissions, **options)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "execute_in_one_transaction", fall_over)
        with pytest.raises(InternalError):
            Imported(path, "--outcomes", str(answers))
    assert [answer["line"] for answer in outcomes(answers)] == [1, 2]
    assert balance(account_id) == 7_00
    assert Imported(path).printed == "4 lines: 4 accepted (3 of them before), 0 rejected, 0 malformed"
    assert balance(account_id) == 10_00


def test_a_store_that_goes_away_between_the_parts_of_a_batch_is_said_with_the_line_it_got_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id, answers = new_account(), tmp_path / "answers.jsonl"
    path = jsonl(tmp_path / "in.jsonl", *deposits(account_id, 1, 2), "{", *deposits(account_id, 4, 5, 6))
    real, parts = engine.execute_in_one_transaction, []

    def fail_second(*arguments: Any, **options: Any) -> Any:
        parts.append(True)
        if len(parts) == 2:
            raise StoreUnavailable("the event store does not answer")
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "COMMANDS_PER_TRANSACTION", 3)
        patch.setattr(engine, "execute_in_one_transaction", fail_second)
        imported = Imported(path, "--outcomes", str(answers))
    assert imported.code == MISSING
    assert "carried out up to line 4: run it again" in imported.faults
    assert [answer["line"] for answer in outcomes(answers)] == [1, 2, 3, 4]
    assert balance(account_id) == 7_00
    assert Imported(path).printed == "6 lines: 5 accepted (3 of them before), 0 rejected, 1 malformed"
    assert balance(account_id) == 18_00


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_an_import_that_is_ended_in_the_middle_is_continued_and_every_line_happens_once(
    tmp_path: Path, signal_number: signal.Signals
) -> None:
    account_id, actor, count = new_account(), new_id("importer"), 6_000
    path = jsonl(tmp_path / "in.jsonl", *deposits(account_id, *([1] * count)))
    command = [
        sys.executable,
        str(REPOSITORY / "manage.py"),
        "import_commands",
        str(path),
        "--actor",
        actor,
        "--batch",
        "2",  # so that it takes far longer than it takes to notice that it has begun
    ]

    def written() -> int:
        return int(scalar(STORED_KEYS, f"{actor}/%"))

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        wait_for(lambda: written() > 200, "the first lines")
        started.send_signal(signal_number)
        _, faults = started.communicate(timeout=60)
    done = written()
    assert 200 < done < count, "it was ended in the middle"
    if signal_number == signal.SIGTERM:
        assert started.returncode == CHECK_FAILED
        assert f"stopped after line {done}" in faults
    imported = Imported(path, actor=actor)
    assert imported.printed == f"{count} lines: {count} accepted ({done} of them before), 0 rejected, 0 malformed"
    assert balance(account_id) == count * 100
    assert len(history(account_id)) == count + 1
