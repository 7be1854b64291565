"""The rules: a command and the state it meets become events, or a refusal.

`decide` is pure: time, ids and the actor arrive with the command, money arrives as Decimals. Adding a
command is one dataclass in `commands`, one in `events`, one branch here and one in `evolve`. The rules of a
group of commands are in a module of its own (`cash`, `holds`, `moves`, `reversing`, `sagas`, `sealing`,
`standing`). Refusals are raised in
the order of the table in docs/errors.md, and tests/unit holds that order.
"""

from __future__ import annotations

from ledger.domain import cash, holds, moves, reversing, sagas, sealing, standing
from ledger.domain.commands import (
    CaptureHold,
    CloseAccount,
    Command,
    CreateAccount,
    Deposit,
    EraseSubject,
    Exchange,
    ExpireHold,
    FailTransfer,
    FreezeAccount,
    MultiTransfer,
    PlaceHold,
    ReleaseHold,
    Reverse,
    RotateLogKey,
    SetOverdraftLimit,
    SettleTransfer,
    StartTransfer,
    Transfer,
    UnfreezeAccount,
    Withdraw,
)
from ledger.domain.decision import Context, Decided, States
from ledger.domain.errors import EffectiveInFuture

__all__ = ["Context", "Decided", "States", "decide"]

_RULES = {
    CreateAccount: cash.create_account,
    Deposit: cash.deposit,
    Withdraw: cash.withdraw,
    Transfer: moves.transfer,
    MultiTransfer: moves.multi_transfer,
    Exchange: moves.exchange,
    FreezeAccount: standing.freeze,
    UnfreezeAccount: standing.unfreeze,
    CloseAccount: standing.close,
    SetOverdraftLimit: standing.set_overdraft_limit,
    PlaceHold: holds.place,
    CaptureHold: holds.capture,
    ReleaseHold: holds.release,
    ExpireHold: holds.expire,
    Reverse: reversing.reverse,
    StartTransfer: sagas.start,
    SettleTransfer: sagas.settle,
    FailTransfer: sagas.fail,
    EraseSubject: standing.erase_subject,
    RotateLogKey: sealing.rotate_log_key,
}


def decide(command: Command, state: States, context: Context) -> list[Decided]:
    """Return the events a command leads to, in order; the postings among them sum to zero.

    Raises: a LedgerError. Malformed, Unknown and Conflict leave no trace; Refused is recorded.
    """
    if context.effective_at > context.recorded_at:
        raise EffectiveInFuture("effective_at may not lie in the future")
    return _RULES[type(command)](command, state, context)  # type: ignore[operator]
