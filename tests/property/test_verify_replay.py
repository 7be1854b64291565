"""The shortcut for deposits and withdrawals confirms nothing that the domain's own replay would not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.domain import aggregates
from ledger.domain.account import Account
from ledger.domain.events import AccountFrozen, Event, MoneyDeposited, MoneyWithdrawn, to_data
from ledger.verify.replay import _is_plain_move, _replay, replay
from ledger.verify.rows import Row

AT = datetime(2026, 1, 31, tzinfo=UTC)
BEFORE = Account("Ann", "USD", "2026-01-01T00:00:00.000000Z", balance_minor=1_000)
amounts = st.integers(-3, 3) | st.sampled_from([True, 0.5, "1", None, 2**60])
odd = st.sampled_from([None, [], "text", 5, {}])


def row(event: Event, data: Any, state: Any) -> Row:
    return Row(
        position=2, command_id="c", command_index=0, command_size=1, event_hash=b"", running_hash=b"", is_late=False,
        sequenced_at=AT, aggregate_id="ann", version=2, agrees=True, event_id="e", aggregate_type="account",
        event_type=type(event).__name__, schema_version=event.schema_version, data=data, metadata={}, state=state,
        recorded_at=AT, effective_at=AT, previous_hash=b"", hash=b"",
    )  # fmt: skip


def move(kind: type[MoneyDeposited] | type[MoneyWithdrawn], amount_minor: Any) -> Event:
    return kind(amount_minor, "USD", "external:USD", "")


@given(
    kind=st.sampled_from([MoneyDeposited, MoneyWithdrawn]),
    amount_minor=amounts,
    moved_minor=amounts,
    extra=st.sampled_from([{}, {"status": "frozen"}, {"held_minor": 1}, {"unknown": 1}]),
    missing=st.sampled_from([None, "description", "amount_minor"]),
)
def test_what_the_shortcut_confirms_the_domain_confirms(
    kind: Any, amount_minor: Any, moved_minor: Any, extra: dict[str, Any], missing: str | None
) -> None:
    before = aggregates.ACCOUNT.write(BEFORE)
    event = move(kind, amount_minor)
    data = {name: value for name, value in to_data(event).items() if name != missing}
    after = {**before, **extra, "balance_minor": 1_000 + moved_minor if isinstance(moved_minor, int) else moved_minor}
    seen = row(event, data, after)
    assert not _is_plain_move(before, seen) or _replay(before, seen) is None
    assert replay(before, seen) == _replay(before, seen)


@given(before=odd, data=odd, state=odd)
def test_what_is_no_state_and_no_data_is_a_difference_and_not_a_crash(before: Any, data: Any, state: Any) -> None:
    seen = row(move(MoneyDeposited, 1), data, state)
    assert not _is_plain_move(before, seen)
    assert replay(before, seen) is not None


def test_a_deposit_and_a_withdrawal_take_the_shortcut_and_nothing_else_does() -> None:
    before = aggregates.ACCOUNT.write(BEFORE)
    for event, moved_minor in ((move(MoneyDeposited, 7), 7), (move(MoneyWithdrawn, 7), -7)):
        after = {**before, "balance_minor": 1_000 + moved_minor}
        assert _is_plain_move(before, row(event, to_data(event), after))
        assert not _is_plain_move(before, row(event, to_data(event), {**after, "owner_name": "Eve"}))
        assert not _is_plain_move(None, row(event, to_data(event), after))
    frozen = AccountFrozen("")
    assert not _is_plain_move(before, row(frozen, to_data(frozen), {**before, "status": "frozen"}))
