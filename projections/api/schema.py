"""What the OpenAPI document says of the read model's answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers as s

from ledger.api import parameters
from ledger.api.schema import query

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
    kind = s.CharField(help_text="deposit, withdrawal, transfer_in or transfer_out")
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


class TransferAnswer(s.Serializer[Any]):
    transfer_id = s.CharField()
    from_account_id = s.CharField()
    to_account_id = s.CharField()
    amount = s.CharField()
    currency = s.CharField()
    description = s.CharField()
    status = s.CharField()
    events = TransferEvent(many=True)
    recorded_at = s.DateTimeField()
    position = s.IntegerField()


class TransfersAnswer(s.Serializer[Any]):
    transfers = TransferAnswer(many=True)
    total = s.IntegerField()
    next_after = s.IntegerField(allow_null=True)


class TrialBalanceLine(s.Serializer[Any]):
    currency = s.CharField()
    accounts = s.IntegerField(help_text="how many accounts money has ever reached")
    accounts_total = s.CharField()
    external_total = s.CharField(help_text="the world outside: what came in from it, less what went out, negated")
    difference = s.CharField(help_text="the sum of both; anything but zero is an alarm")


class TrialBalanceAnswer(s.Serializer[Any]):
    as_of = s.DateTimeField(allow_null=True)
    position = s.IntegerField()
    currencies = TrialBalanceLine(many=True)
    balanced = s.BooleanField()
    final = s.BooleanField(help_text="no later answer for this instant will differ")
