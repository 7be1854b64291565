"""The read model's tables. Disposable: drop them and they are rebuilt from the journal.

Only projections write here, with set-based SQL of their own; Django reads. `position` is always the journal's.
"""

from __future__ import annotations

from django.db import models


class Account(models.Model):
    """The latest state of each account."""

    account_id = models.CharField(max_length=64, primary_key=True)
    owner_name = models.CharField(max_length=200)
    currency = models.CharField(max_length=10)
    status = models.CharField(max_length=16)
    balance_minor = models.BigIntegerField()
    held_minor = models.BigIntegerField()
    overdraft_limit_minor = models.BigIntegerField()
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
    kind = models.CharField(max_length=16, help_text="deposit, withdrawal, transfer_in or transfer_out")
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
        indexes = [models.Index(fields=["account_id", "-position"], name="transactions_by_account")]

    def __str__(self) -> str:
        return f"{self.account_id} v{self.version} {self.kind}"


class Transfer(models.Model):
    """Money from one account to another, as one thing."""

    transfer_id = models.CharField(max_length=64, primary_key=True)
    from_account_id = models.CharField(max_length=64)
    to_account_id = models.CharField(max_length=64)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=10)
    description = models.CharField(max_length=500)
    status = models.CharField(max_length=16, help_text="completed")
    withdrawn_event_id = models.UUIDField()
    deposited_event_id = models.UUIDField()
    recorded_at = models.DateTimeField()
    position = models.BigIntegerField(help_text="of its last event")

    class Meta:
        db_table = "transfers"
        indexes = [
            models.Index(fields=["from_account_id", "-position"], name="transfers_by_source"),
            models.Index(fields=["to_account_id", "-position"], name="transfers_by_target"),
            models.Index(fields=["-position"], name="transfers_newest"),
        ]

    def __str__(self) -> str:
        return self.transfer_id


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
