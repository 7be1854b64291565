"""The event store's tables, as Django sees them: for selectors and the admin, never for writing.

Everything is written by `ledger.store`, with SQL. Their DDL is in the migrations, because the primary key
of `events` is (aggregate_id, version): the key is the optimistic lock. Django's admin takes no composite
key, so `event_id` is the model's.
"""

from __future__ import annotations

from django.db import models


class Event(models.Model):
    """An immutable fact about one aggregate, with the state it left and its place in the hash chain."""

    event_id = models.UUIDField(primary_key=True, help_text="uuid5 of command_id and the event's index in it")
    aggregate_id = models.CharField(max_length=64)
    version = models.BigIntegerField(help_text="1-based, gapless within the aggregate")
    aggregate_type = models.CharField(max_length=32)
    event_type = models.CharField(max_length=64)
    schema_version = models.IntegerField()
    data = models.JSONField()
    metadata = models.JSONField(help_text="actor, command, correlation, causation, idempotency key")
    state = models.JSONField(help_text="the aggregate after this event")
    recorded_at = models.DateTimeField(help_text="when it was written down; one instant per command")
    effective_at = models.DateTimeField(help_text="when it counts in the books")
    previous_hash = models.BinaryField(help_text="hash of the aggregate's event before; 32 zero bytes at version 1")
    hash = models.BinaryField(help_text="SHA-256(0x00 ‖ canonical bytes), RFC 9162")

    class Meta:
        db_table = "events"

    def __str__(self) -> str:
        return f"{self.event_type} {self.aggregate_id} v{self.version}"


class OutboxEntry(models.Model):
    """An accepted command that the journal has not ordered yet."""

    command_id = models.UUIDField(primary_key=True)
    recorded_at = models.DateTimeField()
    events = models.JSONField(help_text="what the relay must know of each event of the command, in order")

    class Meta:
        db_table = "outbox"
        verbose_name_plural = "outbox"

    def __str__(self) -> str:
        return f"command {self.command_id}"


class JournalEntry(models.Model):
    """The place of one event in the total order."""

    position = models.BigIntegerField(primary_key=True, help_text="1-based, gapless, monotone")
    event_id = models.UUIDField()
    aggregate_id = models.CharField(max_length=64)
    version = models.BigIntegerField()
    event_type = models.CharField(max_length=64)
    command_id = models.UUIDField()
    command_index = models.IntegerField()
    command_size = models.IntegerField()
    event_hash = models.BinaryField()
    running_hash = models.BinaryField(help_text="SHA-256(running hash before ‖ event hash)")
    is_late = models.BooleanField(help_text="became visible more than 5 s after its recorded_at: an incident")
    sequenced_at = models.DateTimeField()

    class Meta:
        db_table = "journal"
        verbose_name_plural = "journal"

    def __str__(self) -> str:
        return f"{self.position} {self.event_type} {self.aggregate_id} v{self.version}"


class IdempotencyKey(models.Model):
    """What an idempotency key was answered with, so that the same request gets the same answer."""

    key = models.CharField(max_length=300, primary_key=True, help_text="actor and the key the caller chose")
    request_hash = models.BinaryField()
    outcome = models.JSONField()
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "idempotency_keys"

    def __str__(self) -> str:
        return self.key


class Refusal(models.Model):
    """A command that a rule refused: who asked for what, when, and the code it was refused with."""

    refusal_id = models.UUIDField(primary_key=True)
    command_id = models.UUIDField()
    command_type = models.CharField(max_length=64)
    command = models.JSONField()
    actor = models.CharField(max_length=150)
    code = models.CharField(max_length=64)
    detail = models.TextField()
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "refusals"

    def __str__(self) -> str:
        return f"{self.code}: {self.command_type} by {self.actor}"


class Tile(models.Model):
    """256 consecutive hashes of the Merkle tree over the journal; only full tiles are stored."""

    pk = models.CompositePrimaryKey("level", "tile_index")
    level = models.IntegerField(help_text="0: leaf hashes; each level above: the roots of full tiles below")
    tile_index = models.BigIntegerField(help_text="0-based within the level")
    hashes = models.BinaryField(help_text="256 hashes of 32 bytes")
    root = models.BinaryField(help_text="Merkle tree hash of the 256")

    class Meta:
        db_table = "tiles"


class TreeHead(models.Model):
    """A signed head of the Merkle tree: whoever keeps one can prove that history before it was rewritten."""

    tree_size = models.BigIntegerField(primary_key=True, help_text="positions 1 to this one are under it")
    note = models.TextField(help_text="C2SP checkpoint: origin, size, root, signatures")
    signed_at = models.DateTimeField(help_text="for people; no part of what is signed")

    class Meta:
        db_table = "tree_heads"

    def __str__(self) -> str:
        return f"tree head at {self.tree_size}"
