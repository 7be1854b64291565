"""The rules of the engine's state machine that are about holds: placed, captured, released, expired."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, rule

from ledger.domain.commands import CaptureHold, ExpireHold, PlaceHold, ReleaseHold
from ledger.engine.execute import execute
from ledger.engine.remembered import REMEMBERED
from ledger.engine.submission import Rejected
from tests.engine_model import ACCOUNTS, ModelMachine, cents
from tests.ledger_world import rows
from tests.waiting import wait_for

# Long enough to place a hold in, as a rule; a machine that took longer is told so by the engine.
HELD_FOR = timedelta(milliseconds=20)
amounts = st.integers(1, 5_000).map(lambda minor: Decimal(minor) / 100)
numbers = st.integers(0, ACCOUNTS - 1)


class HoldsMachine(ModelMachine):
    holds = Bundle("holds")

    @rule(target=holds, number=numbers, amount=amounts)
    def place_hold(self, number: int, amount: Decimal) -> tuple[int, str]:
        account = self.model[self.ids[number]]
        short = "insufficient_funds" if cents(amount) > account.available else None
        placed: list[str] = []
        submission = self.check(
            PlaceHold(self.ids[number], amount), self.blocked(account) or short, lambda: placed.append("")
        )
        if placed:
            account.holds[str(submission.command_id)] = cents(amount)
            account.version += 1
        return number, str(submission.command_id)

    @rule(target=holds, number=numbers, amount=amounts)
    def place_hold_that_expires(self, number: int, amount: Decimal) -> tuple[int, str]:
        return self.hold_until_it_expires(number, amount)

    def hold_until_it_expires(self, number: int, amount: Decimal) -> tuple[int, str]:
        """Place a hold and let its deadline pass: from then on it holds nothing, whether or not anybody released it."""
        account = self.model[self.ids[number]]
        short = "insufficient_funds" if cents(amount) > account.available else None
        expires_at = store_now() + HELD_FOR
        submission = self.submission(PlaceHold(self.ids[number], amount, expires_at=expires_at))
        (outcome,) = execute([submission])
        hold_id = str(submission.command_id)
        if isinstance(outcome, Rejected) and outcome.error.code == "expires_at_in_past":
            assert store_now() >= expires_at
            return number, hold_id
        expected = self.blocked(account) or short
        assert (outcome.error.code if isinstance(outcome, Rejected) else None) == expected
        self.expect_refusal(submission, expected)
        if expected is None:
            account.holds[hold_id] = cents(amount)
            account.version += 1
            account.expired.add(hold_id)
            wait_for(lambda: store_now() > expires_at, "the end of a hold")
            # A process that carries the store's clock on is behind it by as long as an answer takes.
            REMEMBERED.forget()
        return number, hold_id

    @rule(hold=holds)
    def expire_hold(self, hold: tuple[int, str]) -> None:
        number, hold_id = hold
        account = self.model[self.ids[number]]
        not_expired = None if hold_id in account.expired else "hold_not_expired"
        expected = not_expired if hold_id in account.holds else "hold_not_found"

        def apply() -> None:
            account.holds.pop(hold_id)
            account.version += 1

        self.check(ExpireHold(self.ids[number], hold_id), expected, apply)

    @rule(hold=consumes(holds), part=st.none() | amounts)
    def capture_hold(self, hold: tuple[int, str], part: Decimal | None) -> None:
        number, hold_id = hold
        account = self.model[self.ids[number]]
        held = account.holds.get(hold_id)
        if held is None:
            expected: str | None = "hold_not_found"
        else:
            exceeded = "hold_exceeded" if part is not None and cents(part) > held else None
            expired = "hold_expired" if hold_id in account.expired else None
            expected = self.blocked(account) or expired or exceeded

        def apply() -> None:
            taken = account.holds.pop(hold_id)
            self.move(account, -(taken if part is None else cents(part)))

        self.check(CaptureHold(self.ids[number], hold_id, part), expected, apply)

    @rule(hold=consumes(holds))
    def release_hold(self, hold: tuple[int, str]) -> None:
        number, hold_id = hold
        account = self.model[self.ids[number]]

        def apply() -> None:
            account.holds.pop(hold_id)
            account.version += 1

        self.check(
            ReleaseHold(self.ids[number], hold_id), None if hold_id in account.holds else "hold_not_found", apply
        )


def store_now() -> datetime:
    ((now,),) = rows("SELECT clock_timestamp()")
    assert isinstance(now, datetime)
    return now
