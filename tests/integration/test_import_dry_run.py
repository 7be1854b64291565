"""A dry run of an import: batch after batch, it answers what the import then answers, and writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api_world import new_id
from tests.integration.test_import_commands import Imported, deposits, jsonl, outcomes
from tests.ledger_world import new_account, table_sizes

pytestmark = pytest.mark.usefixtures("database")


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
    codes = [answer.get("code") or ("replayed" if answer["replayed"] else "accepted") for answer in outcomes(done)]
    assert codes == [
        "accepted", "accepted", "accepted", "insufficient_funds", "accepted", "account_not_empty", "replayed",
        "idempotency_key_reused", "accepted", "insufficient_funds",
    ]  # fmt: skip
    for one, other in zip(outcomes(tried), outcomes(done), strict=True):
        assert _without_ids(one) == _without_ids(other)


def _without_ids(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer less what every execution makes anew."""
    new = ("event_id", "command_id", "transfer_id", "hold_id", "events", "instance", "recorded_at")
    types = [event["type"] for event in answer.get("events", [])]
    return {**{name: value for name, value in answer.items() if name not in new}, "types": types}
