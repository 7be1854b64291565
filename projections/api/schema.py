"""What the OpenAPI document says of the read model's answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from ledger.api import parameters
from ledger.api.schema import query
from projections import finding, transfers

LIMIT = query("limit", int, f"1 to {parameters.PAGE_MAX}; {parameters.PAGE_DEFAULT} when absent")
MIN_VERSION = query("min_version", int, "wait up to 2 s for this version of the account, or answer 503 not_yet")


class AccountAnswer(s.Serializer[Any]):
    account_id = s.CharField()
    owner_name = s.CharField()
    balance = s.CharField(help_text="a decimal string with exactly the currency's decimals")
    available = s.CharField(help_text="balance - held + overdraft limit")
    held = s.CharField()
    overdraft_limit = s.CharField()
    currency = s.CharField()
    status = s.ChoiceField(["active", "frozen", "closed"])
    version = s.IntegerField()
    position = s.IntegerField(help_text="of its last event in the journal")
    opened_at = s.DateTimeField()
    updated_at = s.DateTimeField(help_text="recorded_at of its last event")


class AccountsAnswer(s.Serializer[Any]):
    accounts = AccountAnswer(many=True)
    total = s.IntegerField()
    next_after = s.CharField(allow_null=True, help_text="`after` of the next page; null at the end")


class TransactionLine(s.Serializer[Any]):
    event_id = s.UUIDField()
    position = s.IntegerField()
    version = s.IntegerField()
    kind = s.CharField(help_text="deposit, withdrawal, transfer_in, transfer_out, capture or reversal")
    amount = s.CharField(help_text="signed: what the balance changed by")
    balance = s.CharField(help_text="after this line")
    currency = s.CharField()
    counter_account = s.CharField()
    transfer_id = s.CharField(allow_null=True)
    description = s.CharField()
    recorded_at = s.DateTimeField()
    effective_at = s.DateTimeField()


class TransactionsAnswer(s.Serializer[Any]):
    account_id = s.CharField()
    transactions = TransactionLine(many=True)
    total = s.IntegerField()
    next_after = s.IntegerField(allow_null=True)


class TransferEvent(s.Serializer[Any]):
    event_id = s.UUIDField()
    type = s.CharField()
    code = s.CharField(required=False, help_text="why a transfer in steps failed")


class TransferAnswer(s.Serializer[Any]):
    transfer_id = s.CharField(help_text="a hold's is its hold_id")
    kind = s.ChoiceField(list(transfers.KINDS))
    from_account_id = s.CharField()
    to_account_id = s.CharField(help_text="of a hold the world outside")
    amount = s.CharField(help_text="of a hold what was held")
    moved = s.CharField(help_text="of a hold what was captured")
    currency = s.CharField()
    description = s.CharField()
    status = s.ChoiceField(list(transfers.STATUSES))
    expires_at = s.DateTimeField(allow_null=True, help_text="of a hold that has a deadline")
    events = TransferEvent(many=True)
    recorded_at = s.DateTimeField()
    position = s.IntegerField(help_text="of the last event of the command that began it; never changes")
    updated_at = s.DateTimeField()
    updated_position = s.IntegerField(help_text="of its last event")


class TransfersAnswer(s.Serializer[Any]):
    transfers = TransferAnswer(many=True)
    total = s.IntegerField()
    next_after = s.IntegerField(allow_null=True)


class BooksTotal(s.Serializer[Any]):
    """Of one currency, whether the trial balance asks for it or the books do."""

    currency = s.CharField()
    accounts = s.IntegerField(help_text="how many accounts money has ever reached")
    accounts_total = s.CharField()
    external_total = s.CharField(help_text="the world outside: what came in from it, less what went out, negated")
    difference = s.CharField(help_text="the sum of both; anything but zero is an alarm")


class TrialBalanceAnswer(s.Serializer[Any]):
    as_of = s.DateTimeField(allow_null=True)
    position = s.IntegerField()
    currencies = BooksTotal(many=True)
    balanced = s.BooleanField()
    final = s.BooleanField(help_text="no later answer for this instant will differ")


class BooksBalance(s.Serializer[Any]):
    account_id = s.CharField()
    balance = s.CharField()
    currency = s.CharField()


class BooksAnswer(s.Serializer[Any]):
    recorded_at = s.DateTimeField(allow_null=True)
    effective_at = s.DateTimeField(allow_null=True)
    position = s.IntegerField(help_text="the highest that is in: the end of a command")
    final = s.BooleanField(help_text="no later answer for these bounds will differ")
    balanced = s.BooleanField()
    currencies = BooksTotal(many=True)
    balances = BooksBalance(many=True)
    next_after = s.CharField(allow_null=True, help_text="`after` of the next page; null at the end")


class BooksChange(s.Serializer[Any]):
    account_id = s.CharField()
    currency = s.CharField()
    before = s.CharField()
    after = s.CharField()
    change = s.CharField()


class BooksDifferenceAnswer(s.Serializer[Any]):
    to = s.DateTimeField()
    on = s.ChoiceField(["recorded_at", "effective_at"])
    final = s.BooleanField(help_text="no later answer for these instants will differ")
    total = s.IntegerField(help_text="how many accounts differ")
    changes = BooksChange(many=True)
    next_after = s.CharField(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        return {"from": s.DateTimeField(), **super().get_fields()}  # a word of Python's own


class StepEvent(s.Serializer[Any]):
    """An event, and the account after it."""

    event_id = s.UUIDField()
    event_type = s.CharField()
    version = s.IntegerField()
    recorded_at = s.DateTimeField()
    effective_at = s.DateTimeField()
    data = s.DictField()  # type: ignore[assignment]
    balance = s.CharField()
    held = s.CharField()
    available = s.CharField()
    currency = s.CharField()
    status = s.CharField()


class AccountAtAnswer(s.Serializer[Any]):
    account_id = s.CharField()
    at = s.DateTimeField(allow_null=True, help_text="null when a version was asked for")
    version = s.IntegerField(help_text="0 before its first event")
    final = s.BooleanField(help_text="no later answer will name another event")
    event = StepEvent(allow_null=True, help_text="the one that made it so; null before the first")
    before = StepEvent(allow_null=True)
    after = StepEvent(allow_null=True)


class Hit(s.Serializer[Any]):
    kind = s.ChoiceField(list(finding.KINDS))
    id = s.CharField(help_text="of the account, the event or the transfer")
    account_id = s.CharField()
    text = s.CharField(help_text="what it was found by")
    position = s.IntegerField()


class SearchAnswer(s.Serializer[Any]):
    hits = Hit(many=True)
    has_more = s.BooleanField(help_text="of some kind there is more than the limit let through")
