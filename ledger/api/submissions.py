"""From a request's fields to a submission: the one place that knows which fields a command has.

A serializer lists and checks them, in order. Whatever takes commands from outside, one or many, comes
through `submission_of`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from ledger.api.errors import InvalidIdempotencyKey, UnknownField
from ledger.api.fields import AccountIdField, AmountField, CurrencyField, InstantField, TextField, VersionField
from ledger.domain.commands import Command, CreateAccount, Deposit, Transfer, Withdraw
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
            if name not in self.fields:
                raise UnknownField("this command has no such field", field=name[:64], fields=list(self.fields))
        values: dict[str, Any] = super().run_validation(data)
        return values


class CreateAccountSerializer(CommandSerializer):
    account_id = AccountIdField()
    owner_name = TextField(length_max=OWNER_NAME_MAX, is_blank_allowed=False)
    currency = CurrencyField()
    initial_balance = AmountField(required=False, default=Decimal(0))


class MoneySerializer(CommandSerializer):
    account_id = AccountIdField()
    amount = AmountField()
    description = TextField(length_max=DESCRIPTION_MAX, is_blank_allowed=True, required=False, default="")
    expected_version = VersionField(required=False, help_text="refuse unless the account is at this version")
    effective_at = InstantField(required=False, help_text="when it counts in the books; not in the future")


class DepositSerializer(MoneySerializer):
    pass


class WithdrawSerializer(MoneySerializer):
    pass


class TransferSerializer(CommandSerializer):
    from_account_id = AccountIdField()
    to_account_id = AccountIdField()
    amount = AmountField()
    description = TextField(length_max=DESCRIPTION_MAX, is_blank_allowed=True, required=False, default="")


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
}


def submission_of(command_type: str, data: Any, actor: str, idempotency_key: str | None) -> Submission:
    """Return the submission a request asks for.

    **Raises** a Malformed error; nothing has been written then, and nothing will be.
    """
    if idempotency_key is not None:
        _check_key(idempotency_key, actor)
    form = FORMS[command_type]
    fields = dict(form.serializer.run_validation(data))
    about = {name: fields.pop(name) for name in _ABOUT_SUBMISSION if name in fields}
    return Submission(form.command(**fields), actor, idempotency_key=idempotency_key, **about)


def _check_key(key: str, actor: str) -> None:
    if not _IDEMPOTENCY_KEY.fullmatch(key) or len(actor) + 1 + len(key) > STORED_KEY_MAX:
        raise InvalidIdempotencyKey(f"an Idempotency-Key is 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters")
