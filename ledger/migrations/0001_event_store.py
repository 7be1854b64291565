"""The event store's tables, in SQL that CockroachDB 23.2+ and PostgreSQL both take.

Non-atomic, and every statement may run twice: CockroachDB does not roll DDL back with its transaction
(https://www.cockroachlabs.com/docs/stable/online-schema-changes#limitations). No sequence and no default
that orders anything: positions come from the relay, ids from the command.
"""

from django.db import migrations, models

EVENTS = """
CREATE TABLE IF NOT EXISTS events (
    aggregate_id   varchar(64)  NOT NULL,
    version        bigint       NOT NULL CHECK (version > 0),
    event_id       uuid         NOT NULL UNIQUE,
    aggregate_type varchar(32)  NOT NULL,
    event_type     varchar(64)  NOT NULL,
    schema_version integer      NOT NULL CHECK (schema_version > 0),
    data           jsonb        NOT NULL,
    metadata       jsonb        NOT NULL,
    state          jsonb        NOT NULL,
    recorded_at    timestamptz  NOT NULL,
    effective_at   timestamptz  NOT NULL,
    previous_hash  bytea        NOT NULL CHECK (length(previous_hash) = 32),
    hash           bytea        NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (aggregate_id, version)
)
"""
EVENTS_BY_TIME = """
CREATE INDEX IF NOT EXISTS events_by_time ON events (aggregate_id, recorded_at, version)
"""
# `events` lists what the relay must know of each event of the command, in order: a command is one row, so the
# relay cannot see half of it.
OUTBOX = """
CREATE TABLE IF NOT EXISTS outbox (
    command_id  uuid         NOT NULL PRIMARY KEY,
    recorded_at timestamptz  NOT NULL,
    events      jsonb        NOT NULL
)
"""
OUTBOX_IN_ORDER = """
CREATE INDEX IF NOT EXISTS outbox_in_order ON outbox (recorded_at, command_id)
"""
JOURNAL = """
CREATE TABLE IF NOT EXISTS journal (
    position      bigint       NOT NULL PRIMARY KEY CHECK (position > 0),
    event_id      uuid         NOT NULL,
    aggregate_id  varchar(64)  NOT NULL,
    version       bigint       NOT NULL,
    event_type    varchar(64)  NOT NULL,
    command_id    uuid         NOT NULL,
    command_index integer      NOT NULL,
    command_size  integer      NOT NULL,
    event_hash    bytea        NOT NULL CHECK (length(event_hash) = 32),
    running_hash  bytea        NOT NULL CHECK (length(running_hash) = 32),
    is_late       boolean      NOT NULL,
    sequenced_at  timestamptz  NOT NULL,
    CHECK (command_index >= 0 AND command_index < command_size)
)
"""
JOURNAL_BY_AGGREGATE = """
CREATE UNIQUE INDEX IF NOT EXISTS journal_by_aggregate ON journal (aggregate_id, version)
"""
JOURNAL_BY_TYPE = """
CREATE INDEX IF NOT EXISTS journal_by_type ON journal (event_type, position)
"""
JOURNAL_LATE = """
CREATE INDEX IF NOT EXISTS journal_late ON journal (position) WHERE is_late
"""
IDEMPOTENCY_KEYS = """
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key          varchar(300) NOT NULL PRIMARY KEY,
    request_hash bytea        NOT NULL,
    outcome      jsonb        NOT NULL,
    recorded_at  timestamptz  NOT NULL
)
"""
REFUSALS = """
CREATE TABLE IF NOT EXISTS refusals (
    refusal_id   uuid         NOT NULL PRIMARY KEY,
    command_id   uuid         NOT NULL,
    command_type varchar(64)  NOT NULL,
    command      jsonb        NOT NULL,
    actor        varchar(150) NOT NULL,
    code         varchar(64)  NOT NULL,
    detail       text         NOT NULL,
    recorded_at  timestamptz  NOT NULL
)
"""
REFUSALS_BY_TIME = """
CREATE INDEX IF NOT EXISTS refusals_by_time ON refusals (recorded_at, refusal_id)
"""

STATEMENTS = [
    EVENTS, EVENTS_BY_TIME, OUTBOX, OUTBOX_IN_ORDER, JOURNAL, JOURNAL_BY_AGGREGATE, JOURNAL_BY_TYPE, JOURNAL_LATE,
    IDEMPOTENCY_KEYS, REFUSALS, REFUSALS_BY_TIME,
]  # fmt: skip
TABLES = ["refusals", "idempotency_keys", "journal", "outbox", "events"]
MODELS = [
    migrations.CreateModel(
        name="Event",
        fields=[
            (
                "event_id",
                models.UUIDField(
                    help_text="uuid5 of command_id and the event's index in it", primary_key=True, serialize=False
                ),
            ),
            ("aggregate_id", models.CharField(max_length=64)),
            ("version", models.BigIntegerField(help_text="1-based, gapless within the aggregate")),
            ("aggregate_type", models.CharField(max_length=32)),
            ("event_type", models.CharField(max_length=64)),
            ("schema_version", models.IntegerField()),
            ("data", models.JSONField()),
            ("metadata", models.JSONField(help_text="actor, command, correlation, causation, idempotency key")),
            ("state", models.JSONField(help_text="the aggregate after this event")),
            ("recorded_at", models.DateTimeField(help_text="when it was written down; one instant per command")),
            ("effective_at", models.DateTimeField(help_text="when it counts in the books")),
            (
                "previous_hash",
                models.BinaryField(help_text="hash of the aggregate's event before; 32 zero bytes at version 1"),
            ),
            ("hash", models.BinaryField(help_text="SHA-256(0x00 ‖ canonical bytes), RFC 9162")),
        ],
        options={
            "db_table": "events",
        },
    ),
    migrations.CreateModel(
        name="IdempotencyKey",
        fields=[
            (
                "key",
                models.CharField(
                    help_text="actor and the key the caller chose", max_length=300, primary_key=True, serialize=False
                ),
            ),
            ("request_hash", models.BinaryField()),
            ("outcome", models.JSONField()),
            ("recorded_at", models.DateTimeField()),
        ],
        options={
            "db_table": "idempotency_keys",
        },
    ),
    migrations.CreateModel(
        name="JournalEntry",
        fields=[
            (
                "position",
                models.BigIntegerField(help_text="1-based, gapless, monotone", primary_key=True, serialize=False),
            ),
            ("event_id", models.UUIDField()),
            ("aggregate_id", models.CharField(max_length=64)),
            ("version", models.BigIntegerField()),
            ("event_type", models.CharField(max_length=64)),
            ("command_id", models.UUIDField()),
            ("command_index", models.IntegerField()),
            ("command_size", models.IntegerField()),
            ("event_hash", models.BinaryField()),
            ("running_hash", models.BinaryField(help_text="SHA-256(running hash before ‖ event hash)")),
            (
                "is_late",
                models.BooleanField(help_text="became visible more than 5 s after its recorded_at: an incident"),
            ),
            ("sequenced_at", models.DateTimeField()),
        ],
        options={
            "verbose_name_plural": "journal",
            "db_table": "journal",
        },
    ),
    migrations.CreateModel(
        name="OutboxEntry",
        fields=[
            ("command_id", models.UUIDField(primary_key=True, serialize=False)),
            ("recorded_at", models.DateTimeField()),
            ("events", models.JSONField(help_text="what the relay must know of each event of the command, in order")),
        ],
        options={
            "verbose_name_plural": "outbox",
            "db_table": "outbox",
        },
    ),
    migrations.CreateModel(
        name="Refusal",
        fields=[
            ("refusal_id", models.UUIDField(primary_key=True, serialize=False)),
            ("command_id", models.UUIDField()),
            ("command_type", models.CharField(max_length=64)),
            ("command", models.JSONField()),
            ("actor", models.CharField(max_length=150)),
            ("code", models.CharField(max_length=64)),
            ("detail", models.TextField()),
            ("recorded_at", models.DateTimeField()),
        ],
        options={
            "db_table": "refusals",
        },
    ),
]


class Migration(migrations.Migration):
    atomic = False
    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(migrations.RunSQL.noop, "; ".join(f"DROP TABLE IF EXISTS {name}" for name in TABLES)),
                *(migrations.RunSQL(statement, migrations.RunSQL.noop) for statement in STATEMENTS),
            ],
            state_operations=MODELS,
        )
    ]
