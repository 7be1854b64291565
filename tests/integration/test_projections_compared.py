"""What a rebuilt set of tables differs in from the live one: shown, refused, and counted while the projector goes on."""

from __future__ import annotations

import pytest

from projections import differences, rebuild
from projections.connection import Connection, read_model_connection
from projections.differences import Difference
from projections.projection import by_name
from projections.shadow import Shadow
from tests.read_world import (
    assert_read_model_is_right,
    change_read_model,
    order_everything,
    projector,
    random_commands,
    read_model,
    relay,
    submit,
    wait_until_applied,
)
from tests.rebuild_world import a_built_read_model, call

pytestmark = pytest.mark.usefixtures("clean_stores", "no_shadows")


def test_corrupted_rows_are_shown_refused_and_replaced() -> None:
    a_built_read_model()
    change_read_model("UPDATE accounts SET balance_minor = balance_minor + 1 WHERE account_id = 'acc-3'")
    code, printed = call("accounts", "--require-equal")
    assert code == 1
    assert "accounts: 1 rows only live, 1 only rebuilt" in printed
    assert "acc-3" in printed
    assert read_model("SELECT count(*) FROM rebuild_accounts.accounts") == [(6,)], "what was built is still there"
    code, printed = call("accounts", "--diff")
    assert code == 0
    assert "accounts: 1 rows only live, 1 only rebuilt" in printed
    assert_read_model_is_right()


def test_what_differs_is_shown_before_it_is_decided_to_switch() -> None:
    a_built_read_model()
    change_read_model("UPDATE accounts SET balance_minor = balance_minor + 1 WHERE account_id = 'acc-3'")
    shown = "accounts: 1 rows only live, 1 only rebuilt"
    code, printed = call("accounts", "--no-switch", "--diff")
    assert (code, shown in printed) == (0, True)
    with pytest.raises(AssertionError):
        assert_read_model_is_right()
    live: list[int] = []

    def show(difference: Difference) -> None:
        assert difference
        live.append(read_model("SELECT count(*) FROM rebuild_accounts.accounts")[0][0])

    with read_model_connection() as connection:
        rebuild.build(connection, by_name("accounts"), lambda *_: None)
        rebuild.switch(connection, by_name("accounts"), show=show)
    assert live == [6], "shown while the built set was beside the live one"
    assert_read_model_is_right()


def test_commands_become_visible_while_what_differs_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And neither the comparison nor the switch is put off by them."""
    ids = a_built_read_model()
    count, heads = differences.differences, []

    def count_for_long(connection: Connection, shadow: Shadow) -> list[Difference]:
        submit(*random_commands(ids, 10, seed=7))
        heads.append(order_everything())
        wait_until_applied(heads[-1])
        return count(connection, shadow)

    monkeypatch.setattr(differences, "differences", count_for_long)
    with relay(), projector():
        code, printed = call("transactions", "--no-switch", "--diff")
        assert (code, "transactions: 0 rows only live, 0 only rebuilt" in printed) == (0, True), printed
        code, printed = call("transactions", "--require-equal")
        assert (code, f"switched at position {heads[-1]}," in printed) == (0, True), printed
        wait_until_applied()
    assert heads[0] < heads[1]
    assert_read_model_is_right()


def test_rows_that_somebody_changed_after_they_were_compared_are_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    a_built_read_model()
    count = differences.differences

    def count_and_retry(connection: Connection, shadow: Shadow) -> list[Difference]:
        found = count(connection, shadow)
        change_read_model(  # as retry_parked does
            "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE account_id = 'acc-3'",
            "UPDATE checkpoints SET revision = revision + 1 WHERE projection = 'accounts'",
        )
        return found

    monkeypatch.setattr(differences, "differences", count_and_retry)
    code, printed = call("accounts", "--require-equal")
    assert (code, "somebody else has changed the rows of accounts since they were compared" in printed) == (1, True)
    assert read_model("SELECT count(*) FROM rebuild_accounts.accounts") == [(6,)], "what was built is still there"
    monkeypatch.undo()
    code, printed = call("accounts", "--require-equal")
    assert (code, "accounts: 1 rows only live, 1 only rebuilt" in printed) == (1, True)
