"""Rules for a transfer in steps: it reserves on the source, and is then settled, or fails and sets the money free.

Starting touches the source alone, so a target that many pay into holds nobody up. Settling takes the reserved
money and gives it to the target in one command: there is no moment at which it is in both accounts or in none.
Failing is never refused: a hold can always be released, and its account cannot be closed while it lasts.
"""

from __future__ import annotations

from ledger.domain.commands import FailTransfer, SettleTransfer, StartTransfer
from ledger.domain.decision import Context, Decided, States, check_all_open, check_funds, check_room, existing
from ledger.domain.errors import CurrencyMismatch, SameAccount, TransferEnded, TransferNotFound
from ledger.domain.events import (
    TRANSFER,
    FundsHeld,
    HoldCaptured,
    HoldReleased,
    MoneyDeposited,
    TransferCompleted,
    TransferFailed,
    TransferStarted,
)
from ledger.domain.holds import check_number_of_holds
from ledger.domain.money import to_minor
from ledger.domain.transfer import STARTED, Transfer


def start(command: StartTransfer, state: States, context: Context) -> list[Decided]:
    """The hold is the transfer's: it has no deadline, and nobody else captures or releases it."""
    source_id, target_id = command.from_account_id, command.to_account_id
    if source_id == target_id:
        raise SameAccount("money moves between two different accounts", account_id=source_id)
    source, target = existing(state, source_id), existing(state, target_id)
    amount_minor = to_minor(command.amount, source.currency)
    check_all_open({source_id: source, target_id: target}, context.effective_at)
    if source.currency != target.currency:
        raise CurrencyMismatch(
            f"{source_id} holds {source.currency}, {target_id} holds {target.currency}",
            from_currency=source.currency,
            to_currency=target.currency,
        )
    check_number_of_holds(source_id, source)
    check_funds(source_id, source, amount_minor, context.recorded_at)
    id_, common = TRANSFER + context.command_id, (amount_minor, source.currency, command.description)
    return [
        Decided(id_, TransferStarted(context.command_id, source_id, target_id, *common)),
        Decided(source_id, FundsHeld(id_, *common, None)),
    ]


def settle(command: SettleTransfer, state: States, context: Context) -> list[Decided]:
    """Refused by whatever the two accounts have become since it was started."""
    transfer = _started(command.transfer_id, state)
    source_id, target_id = transfer.from_account_id, transfer.to_account_id
    assert (command.from_account_id, command.to_account_id) == (source_id, target_id), "it names its own accounts"
    source, target = existing(state, source_id), existing(state, target_id)
    check_all_open({source_id: source, target_id: target}, context.effective_at)
    check_room(target_id, target, transfer.amount_minor)
    id_, amount_minor, currency = TRANSFER + command.transfer_id, transfer.amount_minor, transfer.currency
    common = (transfer.description, command.transfer_id)
    return [
        Decided(source_id, HoldCaptured(id_, amount_minor, 0, currency, target_id, *common)),
        Decided(target_id, MoneyDeposited(amount_minor, currency, source_id, *common)),
        Decided(id_, TransferCompleted(command.transfer_id)),
    ]


def fail(command: FailTransfer, state: States, context: Context) -> list[Decided]:
    transfer = _started(command.transfer_id, state)
    assert command.from_account_id == transfer.from_account_id, "it names its own source"
    id_ = TRANSFER + command.transfer_id
    return [
        Decided(transfer.from_account_id, HoldReleased(id_, transfer.amount_minor, command.code)),
        Decided(id_, TransferFailed(command.transfer_id, command.code, command.reason)),
    ]


def _started(transfer_id: str, state: States) -> Transfer:
    transfer = state[TRANSFER + transfer_id]
    if not isinstance(transfer, Transfer):
        raise TransferNotFound(f"transfer {transfer_id} does not exist", transfer_id=transfer_id)
    if transfer.status != STARTED:
        raise TransferEnded(f"transfer {transfer_id} has {transfer.status}", transfer_id=transfer_id)
    return transfer
