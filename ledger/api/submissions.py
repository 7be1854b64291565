"""From a request's fields to a submission: the one place that knows which fields a command has.

A serializer lists and checks them, in order. Whatever takes commands from outside, one or many, comes
through `submission_of`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from chronicle.roles import Role
from ledger.api.errors import Forbidden, InvalidIdempotencyKey, MissingField, UnknownField
from ledger.api.fields import (
    AccountIdField,
    AmountField,
    CurrencyField,
    FlagField,
    IdField,
    InstantField,
    SubjectIdField,
    TextField,
    UuidField,
    VersionField,
)
from ledger.domain.commands import (
    LEGS_MAX,
    CaptureHold,
    CloseAccount,
    Command,
    CreateAccount,
    Deposit,
    Exchange,
    FreezeAccount,
    Leg,
    MultiTransfer,
    PlaceHold,
    ReleaseHold,
    Reverse,
    SetOverdraftLimit,
    StartTransfer,
    Transfer,
    UnfreezeAccount,
    Withdraw,
)
from ledger.domain.errors import InvalidField
from ledger.engine.submission import Submission

OWNER_NAME_MAX = 200
DESCRIPTION_MAX = 500
IDEMPOTENCY_KEY_MAX = 255
_IDEMPOTENCY_KEY = re.compile(rf"[!-~]{{1,{IDEMPOTENCY_KEY_MAX}}}", re.ASCII)
# The column that holds an actor's name and key together; a name that leaves a key no room is over 40 characters.
STORED_KEY_MAX = 300
# Not of the command itself but of its submission.
_ABOUT_SUBMISSION = ("expected_version", "effective_at")


class CommandSerializer(serializers.Serializer[Any]):
    def run_validation(self, data: Any = None) -> dict[str, Any]:
        for name in data:
            if name not in self.fields.fields:
                raise UnknownField("this command has no such field", field=name[:64], fields=list(self.fields))
        values: dict[str, Any] = self.to_internal_value(data)
        return values

    def to_internal_value(self, data: Any) -> Any:
        """Return the values of the fields that there are: the first error found is raised, and none is collected."""
        values = {}
        for name, field in self.fields.fields.items():
            if name in data or field.required or field.default is not serializers.empty:
                values[name] = field.run_validation(data.get(name, serializers.empty))
        return values


class CreateAccountSerializer(CommandSerializer):
    account_id = AccountIdField()
    owner_name = TextField(length_max=OWNER_NAME_MAX, is_blank_allowed=False)
    currency = CurrencyField()
    initial_balance = AmountField(is_zero_allowed=True, required=False, default=Decimal(0))
    subject_id = SubjectIdField(
        required=False, help_text="of the person whose account it is, when there may be others; nothing personal"
    )


def _text(length_max: int = DESCRIPTION_MAX) -> TextField:
    return TextField(length_max=length_max, is_blank_allowed=True, required=False, default="")


class AccountSerializer(CommandSerializer):
    account_id = AccountIdField()
    expected_version = VersionField(required=False, help_text="refuse unless the account is at this version")


class MoneySerializer(AccountSerializer):
    amount = AmountField()
    description = _text()
    effective_at = InstantField(required=False, help_text="when it counts in the books; not in the future")


class DepositSerializer(MoneySerializer):
    pass


class WithdrawSerializer(MoneySerializer):
    pass


class TransferSerializer(CommandSerializer):
    from_account_id = AccountIdField()
    to_account_id = AccountIdField()
    amount = AmountField()
    description = _text()
    effective_at = InstantField(required=False, help_text="when it counts in the books; not in the future")


class ExchangeSerializer(TransferSerializer):
    to_amount = AmountField(help_text="what the target gets, in its currency; the rate follows from the two amounts")


class StartTransferSerializer(CommandSerializer):
    from_account_id = AccountIdField()
    to_account_id = AccountIdField()
    amount = AmountField()
    description = _text()


class LegSerializer(CommandSerializer):
    account_id = AccountIdField()
    amount = AmountField()

    def to_internal_value(self, data: Any) -> Leg:
        return Leg(**super().to_internal_value(data))


class LegsField(serializers.ListField):
    """One side of a multi-transfer."""

    child = LegSerializer()

    def run_validation(self, data: Any = serializers.empty) -> tuple[Leg, ...]:
        if data is serializers.empty:
            raise MissingField(f"{self.field_name} is missing", field=self.field_name)
        if not isinstance(data, list) or not 1 <= len(data) <= LEGS_MAX or not all(isinstance(d, dict) for d in data):
            raise InvalidField(f"{self.field_name} is a list of 1 to {LEGS_MAX} objects", field=self.field_name)
        legs: list[Any] = [self.child.run_validation(leg) for leg in data]
        return tuple(legs)


class MultiTransferSerializer(CommandSerializer):
    sources = LegsField()
    targets = LegsField()
    description = _text()
    effective_at = InstantField(required=False, help_text="when it counts in the books; not in the future")


class StandingSerializer(AccountSerializer):
    reason = _text()


class FreezeAccountSerializer(StandingSerializer):
    pass


class UnfreezeAccountSerializer(StandingSerializer):
    pass


class CloseAccountSerializer(StandingSerializer):
    pass


class SetOverdraftLimitSerializer(StandingSerializer):
    limit = AmountField(is_zero_allowed=True)


class PlaceHoldSerializer(AccountSerializer):
    amount = AmountField()
    description = _text()
    expires_at = InstantField(required=False, help_text="when the hold ends by itself; in the future")


class CaptureHoldSerializer(AccountSerializer):
    hold_id = IdField()
    amount = AmountField(required=False, help_text="a part of the hold; the rest is released")
    description = _text()
    effective_at = InstantField(required=False, help_text="when it counts in the books; not in the future")


class ReleaseHoldSerializer(StandingSerializer):
    hold_id = IdField()


class ReverseSerializer(CommandSerializer):
    event_id = UuidField(required=False, help_text="any event of the command to reverse; or give command_id")
    command_id = UuidField(required=False, help_text="the command to reverse; or give event_id")
    amount = AmountField(required=False, help_text="a part of it; what is left of it when absent")
    reason = TextField(length_max=DESCRIPTION_MAX, is_blank_allowed=False)
    force = FlagField(required=False, help_text="even if the money is gone; administrators only")

    def run_validation(self, data: Any = None) -> dict[str, Any]:
        values = super().run_validation(data)
        if "event_id" not in values and "command_id" not in values:
            raise MissingField("event_id or command_id is missing", field="event_id")
        if "event_id" in values and "command_id" in values:
            raise InvalidField("either event_id or command_id says what to reverse, not both", field="command_id")
        return values


@dataclass(frozen=True, slots=True)
class Form:
    """How one command comes in: its fields are checked by `serializer` and become a `command`."""

    serializer: CommandSerializer
    command: Callable[..., Command]


FORMS: Mapping[str, Form] = {
    "create-account": Form(CreateAccountSerializer(), CreateAccount),
    "deposit": Form(DepositSerializer(), Deposit),
    "withdraw": Form(WithdrawSerializer(), Withdraw),
    "transfer": Form(TransferSerializer(), Transfer),
    "multi-transfer": Form(MultiTransferSerializer(), MultiTransfer),
    "exchange": Form(ExchangeSerializer(), Exchange),
    "freeze-account": Form(FreezeAccountSerializer(), FreezeAccount),
    "unfreeze-account": Form(UnfreezeAccountSerializer(), UnfreezeAccount),
    "close-account": Form(CloseAccountSerializer(), CloseAccount),
    "set-overdraft-limit": Form(SetOverdraftLimitSerializer(), SetOverdraftLimit),
    "place-hold": Form(PlaceHoldSerializer(), PlaceHold),
    "capture-hold": Form(CaptureHoldSerializer(), CaptureHold),
    "release-hold": Form(ReleaseHoldSerializer(), ReleaseHold),
    "reverse": Form(ReverseSerializer(), Reverse),
    "start-transfer": Form(StartTransferSerializer(), StartTransfer),
}


def submission_of(
    command_type: str, data: Any, actor: str, idempotency_key: str | None, roles: Collection[Role] = ()
) -> Submission:
    """Return the submission a request asks for. `roles`: of the actor, for the fields that not everybody may use.

    **Raises** a Malformed error, or Forbidden; nothing has been written then, and nothing will be.
    """
    if idempotency_key is not None:
        _check_key(idempotency_key, actor)
    form = FORMS[command_type]
    fields = dict(form.serializer.run_validation(data))
    about = {name: fields.pop(name) for name in _ABOUT_SUBMISSION if name in fields}
    command = form.command(**fields)
    if isinstance(command, Reverse) and command.force and Role.ADMINISTRATOR not in roles:
        raise Forbidden("forcing a reversal needs the role administrator")
    return Submission(command, actor, idempotency_key=idempotency_key, **about)


def is_key(key: str, actor: str) -> bool:
    """Return whether a text can be this actor's idempotency key."""
    return bool(_IDEMPOTENCY_KEY.fullmatch(key)) and len(actor) + 1 + len(key) <= STORED_KEY_MAX


def _check_key(key: str, actor: str) -> None:
    if not is_key(key, actor):
        raise InvalidIdempotencyKey(f"an Idempotency-Key is 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters")
