"""Taking money back: the opposite events, what they name, and that parts never add up to more than there was."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ledger.domain import aggregates
from ledger.domain.commands import Reverse
from ledger.domain.decide import Context, decide
from ledger.domain.errors import AlreadyReversed, ReversalExceeded
from ledger.domain.events import CommandReversed, Event, HoldCaptured, MoneyDeposited, MoneyWithdrawn
from ledger.domain.instants import format_instant
from ledger.domain.original import Original
from ledger.domain.reversal import Reversal
from tests.domain_books import NOW, account, deposited, events_of, original, withdrawn

TRANSFER = original(
    withdrawn("ann", counter_account="bob", transfer_id="t-1"),
    deposited("full", counter_account="ann", transfer_id="t-1"),
)


def reversing(what: Original, amount: str | None = None, *, force: bool = False) -> Reverse:
    return Reverse("error", command_id=what.command_id, amount=amount and Decimal(amount), force=force, original=what)  # type: ignore[arg-type]


def counted(amount_minor: int = 5_000, *, is_forced: bool = False, command_id: str = "fresh") -> tuple[str, Event]:
    return f"reversal:{command_id}", CommandReversed(amount_minor, 5_000, "USD", "error", is_forced)


def test_a_deposit_is_taken_back_to_where_it_came_from() -> None:
    back = MoneyWithdrawn(5_000, "USD", "external:USD", "error", None, None, "e-0")
    assert events_of(reversing(original(deposited("ann")))) == [("ann", back), counted()]


def test_a_withdrawal_is_put_back() -> None:
    back = MoneyDeposited(5_000, "USD", "external:USD", "error", None, None, "e-0")
    assert events_of(reversing(original(withdrawn("bob")))) == [("bob", back), counted()]


def test_captured_money_is_put_back_and_the_hold_stays_gone() -> None:
    captured = HoldCaptured("h-1", 5_000, 0, "USD", "external:USD", "")
    back = MoneyDeposited(5_000, "USD", "external:USD", "error", None, None, "e-0")
    assert events_of(reversing(original(("bob", captured)))) == [("bob", back), counted()]


def test_a_transfer_is_reversed_on_both_sides() -> None:
    assert events_of(reversing(TRANSFER)) == [
        ("ann", MoneyDeposited(5_000, "USD", "bob", "error", "t-1", None, "e-0")),
        ("full", MoneyWithdrawn(5_000, "USD", "ann", "error", "t-1", None, "e-1")),
        counted(),
    ]


def test_a_part_of_a_transfer_is_the_same_part_on_both_sides() -> None:
    (_, back), (_, out), (_, reversed_) = events_of(reversing(TRANSFER, "12.50"))
    assert (back.amount_minor, out.amount_minor, reversed_.amount_minor) == (1_250, 1_250, 1_250)  # type: ignore[attr-defined]


def test_an_exchange_is_reversed_whole_with_the_rate_on_record() -> None:
    sold = withdrawn("ann", exchange_rate="150", counter_account="exchange:USD")
    bought = deposited("yen", 500, currency="JPY", exchange_rate="0.006666666667", counter_account="exchange:JPY")
    (_, back), (_, out), reversed_ = events_of(reversing(original(sold, bought)))
    assert back == MoneyDeposited(5_000, "USD", "exchange:USD", "error", None, "150", "e-0")
    assert out == MoneyWithdrawn(500, "JPY", "exchange:JPY", "error", None, "0.006666666667", "e-1")
    assert reversed_ == counted()
    assert events_of(reversing(original(sold, bought), "50.00"))[-1] == counted(), "the whole amount is no part"


def test_every_leg_of_a_multi_transfer_is_reversed() -> None:
    legs = (withdrawn("ann"), deposited("deep", 2_000), deposited("full", 3_000))
    events = events_of(reversing(original(*legs)))
    assert [(id_, event.amount_minor) for id_, event in events] == [  # type: ignore[attr-defined]
        ("ann", 5_000), ("deep", 2_000), ("full", 3_000), ("reversal:fresh", 5_000)]  # fmt: skip


def test_without_an_amount_the_rest_is_taken_back() -> None:
    (_, back), reversed_ = events_of(reversing(original(deposited("ann"), command_id="part")))
    assert back.amount_minor == 3_000  # type: ignore[attr-defined]
    assert reversed_ == counted(3_000, command_id="part")


def test_forced_a_reversal_takes_what_is_not_there_and_says_so() -> None:
    (_, out), reversed_ = events_of(reversing(original(deposited("bob")), force=True))
    assert out.amount_minor == 5_000  # type: ignore[attr-defined]
    assert reversed_ == counted(is_forced=True)


@given(st.lists(st.integers(1, 700), max_size=12))
def test_parts_never_add_up_to_more_than_the_original(parts: list[int]) -> None:
    what = original(deposited("ann", 1_000))
    state: dict[str, aggregates.State | None] = {"ann": account(1_000), "reversal:fresh": None}
    taken = 0
    for minor in parts:
        command = reversing(what, f"{minor // 100}.{minor % 100:02}")
        try:
            decided = decide(command, state, Context("c-1", NOW, NOW))
        except (AlreadyReversed, ReversalExceeded):
            assert taken + minor > 1_000
            continue
        taken += minor
        for one in decided:
            evolve = aggregates.of_id(one.aggregate_id).evolve
            state[one.aggregate_id] = evolve(state[one.aggregate_id], one.event, format_instant(NOW))
    assert taken <= 1_000
    assert state["ann"] == account(1_000 - taken)
    assert state["reversal:fresh"] == (Reversal("USD", 1_000, taken) if taken else None)
