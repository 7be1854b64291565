"""A confirmed command that nobody has decided: the portal says so, to programs too, and it can be confirmed again."""

from __future__ import annotations

import pytest

from chronicle.roles import Role
from ledger.engine import batching
from ledger.engine.submission import Rejected, Submission
from ledger.errors import InternalError
from tests.integration.test_portal_commands import asked, text
from tests.ledger_world import history, new_account
from tests.portal_world import signed_in

pytestmark = pytest.mark.usefixtures("clean_stores")


def test_where_too_many_wait_it_is_put_off_and_may_be_confirmed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    operator, account = signed_in(Role.OPERATOR), new_account(100)
    address = asked(operator, "deposit", account_id=account, amount="12.50")
    with monkeypatch.context() as patch:
        patch.setattr(batching, "WAITING_MAX", 0)
        answer = operator.post(address)
    assert "0 commands are waiting already. overloaded Confirm again" in text(answer, 503)
    assert answer["Retry-After"] == "1"
    assert len(history(account)) == 2
    assert operator.post(address).status_code == 302
    assert history(account)[-1] == (3, "MoneyDeposited", 11_250)


def test_a_command_that_the_server_failed_at_is_confirmed_again_under_the_same_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operator, account = signed_in(Role.OPERATOR), new_account(100)
    address, submit = asked(operator, "deposit", account_id=account, amount="12.50"), batching.submit_sync

    def fail_afterwards(submission: Submission) -> Rejected:
        submit(submission)
        return Rejected(InternalError("the server failed at this command"))

    with monkeypatch.context() as patch:
        patch.setattr(batching, "submit_sync", fail_afterwards)
        answer = operator.post(address)
    assert "internal_error Confirm again: it cannot be done twice." in text(answer, 500)
    assert "Retry-After" not in answer
    assert operator.post(address)["Location"].endswith("?again=1")
    assert history(account)[-1] == (3, "MoneyDeposited", 11_250)
