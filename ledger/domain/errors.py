"""Why a command is not carried out. One tree; every leaf has a stable `code`, an HTTP status and its fields.

`Malformed` (400): the command could never be right. `Unknown` (404): it names what does not exist.
`Conflict` (409): it was decided on an older state. `Refused` (422): a rule of the books says no, and that
alone is recorded in `refusals`. Infrastructure failures hang on the same root, in `ledger.errors`.
"""

from __future__ import annotations

from typing import Any, ClassVar


class LedgerError(Exception):
    """Root of every expected failure. `retryable`: the same request may succeed later, unchanged."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, **fields: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields

    def __str__(self) -> str:
        return self.detail


class Malformed(LedgerError):
    code = "malformed"
    status = 400


class InvalidField(Malformed):
    """A field is missing, of the wrong type, or not of its form. Fields: `field`."""

    code = "invalid_field"


class InvalidAmount(Malformed):
    """The amount is not a finite decimal number."""

    code = "invalid_amount"


class AmountNotPositive(Malformed):
    code = "amount_not_positive"


class TooManyDecimals(Malformed):
    """More decimals than the currency has; nothing is ever rounded."""

    code = "too_many_decimals"


class AmountTooLarge(Malformed):
    code = "amount_too_large"


class UnknownCurrency(Malformed):
    code = "unknown_currency"


class InvalidAccountId(Malformed):
    code = "invalid_account_id"


class SameAccount(Malformed):
    code = "same_account"


class EffectiveInFuture(Malformed):
    code = "effective_at_in_future"


class ExpiryInPast(Malformed):
    code = "expires_at_in_past"


class Unbalanced(Malformed):
    """The two sides of a multi-transfer differ in some currency. Fields: `currency`, `sources`, `targets`."""

    code = "unbalanced"


class SameCurrency(Malformed):
    code = "same_currency"


class NothingToReverse(Malformed):
    """The command to reverse moved no money. Fields: `command_id`."""

    code = "nothing_to_reverse"


class ReversalOfReversal(Malformed):
    """A reversal is not reversed. Fields: `command_id`."""

    code = "reversal_of_reversal"


class PartNotReversible(Malformed):
    """Of several legs or currencies no part has one meaning. Fields: `command_id`."""

    code = "part_not_reversible"


class Unknown(LedgerError):
    code = "not_found"
    status = 404


class AccountNotFound(Unknown):
    code = "account_not_found"


class HoldNotFound(Unknown):
    """No such hold is open: it never was, or it has been captured or released."""

    code = "hold_not_found"


class OriginalNotFound(Unknown):
    """What is to be reversed was never recorded. Fields: `event_id`, `command_id`."""

    code = "original_not_found"


class TransferNotFound(Unknown):
    code = "transfer_not_found"


class Conflict(LedgerError):
    code = "conflict"
    status = 409


class AccountExists(Conflict):
    code = "account_exists"


class VersionConflict(Conflict):
    """The aggregate is not at `expected_version`: read it again, decide again."""

    code = "version_conflict"


class TransferEnded(Conflict):
    """It has completed or failed, by another process or an earlier attempt: nothing is left to do."""

    code = "transfer_ended"


class InvalidSuccession(Conflict):
    """The keys of the log changed since the change was signed: run `rotate_log_key` again. Never reaches the API."""

    code = "invalid_succession"


class Refused(LedgerError):
    code = "refused"
    status = 422


class EffectiveBeforeOpening(Refused):
    code = "effective_before_opening"


class AccountClosed(Refused):
    code = "account_closed"


class AccountFrozen(Refused):
    code = "account_frozen"


class AccountNotFrozen(Refused):
    code = "account_not_frozen"


class AccountNotEmpty(Refused):
    """A closed account holds no money and no holds."""

    code = "account_not_empty"


class TooManyHolds(Refused):
    code = "too_many_holds"


class HoldExpired(Refused):
    code = "hold_expired"


class HoldNotExpired(Refused):
    code = "hold_not_expired"


class HoldExceeded(Refused):
    code = "hold_exceeded"


class AlreadyReversed(Refused):
    code = "already_reversed"


class ReversalExceeded(Refused):
    """More than is left of the original. Fields: `left`, `required`."""

    code = "reversal_exceeded"


class HoldOfTransfer(Refused):
    """The hold is that of a transfer in steps, which captures or releases it itself."""

    code = "hold_of_transfer"


class OverdraftInUse(Refused):
    code = "overdraft_in_use"


class CurrencyMismatch(Refused):
    code = "currency_mismatch"


class BalanceTooLarge(Refused):
    code = "balance_too_large"


class InsufficientFunds(Refused):
    code = "insufficient_funds"
