"""The read model's tables. Disposable: drop them and they are rebuilt from the journal.

Only projections write here, with set-based SQL of their own; Django reads. `position` is always the journal's.
"""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q

from ledger.domain.money import format_minor


class Account(models.Model):
    """The latest state of each account."""

    account_id = models.CharField(max_length=64, primary_key=True)
    owner_name = models.CharField(max_length=200)
    currency = models.CharField(max_length=10)
    status = models.CharField(max_length=16)
    balance_minor = models.BigIntegerField()
    held_minor = models.BigIntegerField()
    overdraft_limit_minor = models.BigIntegerField()
    available_minor = models.GeneratedField(
        expression=F("balance_minor") - F("held_minor") + F("overdraft_limit_minor"),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    version = models.BigIntegerField()
    opened_at = models.DateTimeField()
    updated_at = models.DateTimeField(help_text="recorded_at of the event at `version`")
    position = models.BigIntegerField(help_text="of the event at `version`")

    class Meta:
        db_table = "accounts"
        indexes = [models.Index(fields=["currency", "account_id"], name="accounts_by_currency")]

    def __str__(self) -> str:
        return self.account_id


class Transaction(models.Model):
    """One line of an account's statement: a money event and the balance it left."""

    position = models.BigIntegerField(primary_key=True)
    event_id = models.UUIDField(unique=True)
    account_id = models.CharField(max_length=64)
    version = models.BigIntegerField()
    kind = models.CharField(
        max_length=16, help_text="deposit, withdrawal, transfer_in, transfer_out, capture or reversal"
    )
    amount_minor = models.BigIntegerField(help_text="signed: what the balance changed by")
    balance_minor = models.BigIntegerField(help_text="after this event")
    currency = models.CharField(max_length=10)
    counter_account = models.CharField(max_length=80)
    transfer_id = models.CharField(max_length=64, null=True)  # noqa: DJ001 (most lines are no transfer)
    description = models.CharField(max_length=500)
    recorded_at = models.DateTimeField()
    effective_at = models.DateTimeField()

    class Meta:
        db_table = "transactions"
        indexes = [
            models.Index(fields=["account_id", "-position"], name="transactions_by_account"),
            models.Index(fields=["description", "-position"], name="transactions_by_description"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} v{self.version} {self.kind.replace('_', ' ')}"


class Transfer(models.Model):
    """Money on its way from one place to another, as one thing: a movement between accounts, or a hold."""

    transfer_id = models.CharField(max_length=64, primary_key=True, help_text="a hold's is its hold_id")
    kind = models.CharField(max_length=16, help_text="transfer, multi_transfer, exchange, saga or hold")
    from_account_id = models.CharField(max_length=64)
    to_account_id = models.CharField(max_length=80, help_text="of a hold the world outside")
    amount_minor = models.BigIntegerField(help_text="what is to move: of a hold what is held")
    moved_minor = models.BigIntegerField(help_text="what has moved: of a hold what was captured of it")
    currency = models.CharField(max_length=10)
    description = models.CharField(max_length=500)
    status = models.CharField(
        max_length=16, help_text="started, completed, failed or reversed; of a hold held, captured, released or expired"
    )
    expires_at = models.DateTimeField(null=True, help_text="of a hold that has a deadline")
    events = models.JSONField(help_text="event_id and type of each of its events, in order")
    recorded_at = models.DateTimeField(help_text="of the command that began it")
    position = models.BigIntegerField(help_text="of the last event of the command that began it; never changes")
    updated_at = models.DateTimeField(help_text="recorded_at of its last event")
    updated_position = models.BigIntegerField(help_text="of its last event")

    class Meta:
        db_table = "transfers"
        indexes = [
            models.Index(fields=["from_account_id", "-position"], name="transfers_by_source"),
            models.Index(fields=["to_account_id", "-position"], name="transfers_by_target"),
            models.Index(fields=["-position"], name="transfers_newest"),
            # What is still held, by deadline: for the worker that ends it.
            models.Index(fields=["expires_at", "transfer_id"], name="transfers_held", condition=Q(status="held")),
            # What is commonest is left out: it is found on the way through the newest, and most rows cost nothing here.
            models.Index(fields=["status", "-position"], name="transfers_by_status", condition=~Q(status="completed")),
            models.Index(fields=["kind", "-position"], name="transfers_by_kind", condition=~Q(kind="transfer")),
        ]

    def __str__(self) -> str:
        return self.transfer_id


class Posting(models.Model):
    """One side of a money event, the outside world's included: those of a command sum to zero per currency."""

    posting_id = models.BigIntegerField(primary_key=True, help_text="twice the position, plus one for the outside")
    position = models.BigIntegerField()
    command_id = models.UUIDField()
    account_id = models.CharField(max_length=80)
    is_external = models.BooleanField()
    currency = models.CharField(max_length=10)
    amount_minor = models.BigIntegerField(help_text="signed: what the account's balance changed by")
    recorded_at = models.DateTimeField()
    effective_at = models.DateTimeField()

    class Meta:
        db_table = "postings"
        indexes = [models.Index(fields=["account_id", "-posting_id"], name="postings_by_account")]

    def __str__(self) -> str:
        return f"{self.account_id} {format_minor(self.amount_minor, self.currency)} {self.currency}"


class TrialBalance(models.Model):
    """Per currency: all accounts, the outside world, and zero as their sum."""

    currency = models.CharField(max_length=10, primary_key=True)
    accounts_minor = models.DecimalField(max_digits=38, decimal_places=0)
    external_minor = models.DecimalField(max_digits=38, decimal_places=0)
    debits_minor = models.DecimalField(max_digits=38, decimal_places=0)
    credits_minor = models.DecimalField(max_digits=38, decimal_places=0)
    postings = models.BigIntegerField()
    position = models.BigIntegerField(help_text="of the last posting")

    class Meta:
        db_table = "trial_balance"

    def __str__(self) -> str:
        return self.currency


class DailyBalance(models.Model):
    """What an account moved on a day (UTC) it counts for. Its closing balance is the sum up to that day."""

    pk = models.CompositePrimaryKey("account_id", "day", "is_external")
    account_id = models.CharField(max_length=80)
    is_external = models.BooleanField()
    currency = models.CharField(max_length=10)
    day = models.DateField()
    debits_minor = models.DecimalField(max_digits=38, decimal_places=0)
    credits_minor = models.DecimalField(max_digits=38, decimal_places=0)
    postings = models.BigIntegerField()

    class Meta:
        db_table = "daily_balances"
        indexes = [models.Index(fields=["day", "currency"], name="daily_balances_by_day")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.day}"


class Activity(models.Model):
    """How many events of a type were recorded in a minute, and how much money they moved."""

    pk = models.CompositePrimaryKey("minute", "event_type", "currency")
    minute = models.DateTimeField()
    event_type = models.CharField(max_length=64)
    currency = models.CharField(max_length=10, help_text="empty for events that move no money")
    events = models.BigIntegerField()
    amount_minor = models.DecimalField(max_digits=38, decimal_places=0, help_text="unsigned sum")

    class Meta:
        db_table = "activity"
        verbose_name_plural = "activity"

    def __str__(self) -> str:
        return f"{self.minute} {self.event_type}"


class SearchEntry(models.Model):
    """Something that can be found, and the text it is found by."""

    pk = models.CompositePrimaryKey("kind", "reference")
    kind = models.CharField(max_length=16, help_text="account or description")
    reference = models.CharField(max_length=500, help_text="the account's id, or the description itself")
    text = models.CharField(max_length=500)
    position = models.BigIntegerField(help_text="of the event that was the first to say so")

    class Meta:
        db_table = "search_entries"
        verbose_name_plural = "search entries"
        indexes = [GinIndex(fields=["text"], opclasses=["gin_trgm_ops"], name="search_entries_by_trigram")]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Checkpoint(models.Model):
    """How far each projection is, stored in the transaction that stored its rows."""

    projection = models.CharField(max_length=64, primary_key=True)
    version = models.IntegerField(help_text="of the projection's code; another one needs a rebuild")
    position = models.BigIntegerField(help_text="the last one applied")
    running_hash = models.BinaryField(help_text="over every event consumed, in order; equals the journal's")
    lag_ms = models.IntegerField(help_text="recorded_at to visible, for the last event of the last batch")
    lag_p50_ms = models.FloatField(default=0, help_text="recorded_at to visible, per batch, over the last minute")
    lag_p95_ms = models.FloatField(default=0)
    lag_p99_ms = models.FloatField(default=0)
    alarm = models.TextField(blank=True, help_text="why it stands still; empty when it does not")
    revision = models.BigIntegerField(
        default=0, help_text="rises whenever anyone but the projector changes the rows: a retry, a switch"
    )
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "checkpoints"

    def __str__(self) -> str:
        return f"{self.projection} at {self.position}"


class ParkedEvent(models.Model):
    """An event that a projection could not apply, or that waits behind one, until a person retries it."""

    parked_id = models.BigAutoField(primary_key=True)
    projection = models.CharField(max_length=64)
    position = models.BigIntegerField()
    event_id = models.UUIDField()
    aggregate_id = models.CharField(max_length=64)
    event_type = models.CharField(max_length=64)
    command_id = models.UUIDField()
    is_cause = models.BooleanField(help_text="could not be applied itself; false: waits for one that could not")
    reason = models.TextField()
    attempts = models.IntegerField()
    parked_at = models.DateTimeField()

    class Meta:
        db_table = "parked_events"
        constraints = [models.UniqueConstraint(fields=["projection", "position"], name="parked_events_once")]

    def __str__(self) -> str:
        return f"{self.projection}: event {self.position} of {self.aggregate_id}"
