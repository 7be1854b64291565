"""The second lock on history: triggers that refuse UPDATE, DELETE and TRUNCATE whoever asks, the owner too.

GRANT binds the application; this binds a person who signs in as the owner by mistake. Who switches triggers
off does it on purpose, and `check --database event_store` and `verify_ledger` tell.

Source: https://www.postgresql.org/docs/18/sql-createtrigger.html. CockroachDB has row triggers since 24.3
(https://www.cockroachlabs.com/docs/v24.3/triggers), none for TRUNCATE; before that, GRANT is the only lock.
"""

import re

from django.db import migrations

TABLES = ("events", "journal", "idempotency_keys", "refusals", "tiles", "tree_heads")
COCKROACHDB_WITH_TRIGGERS = (24, 3)
FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history is append-only: nothing in it is ever changed or removed';
    RETURN NULL;
END
$$
"""


def _has_triggers(cursor, vendor):
    if vendor == "postgresql":
        return True
    cursor.execute("SELECT version()")
    found = re.search(r"v(\d+)\.(\d+)", cursor.fetchone()[0])
    return found is not None and tuple(map(int, found.groups())) >= COCKROACHDB_WITH_TRIGGERS


def add(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    with schema_editor.connection.cursor() as cursor:
        if not _has_triggers(cursor, vendor):
            return
        cursor.execute(FUNCTION)
        for table in TABLES:
            cursor.execute(f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}")
            cursor.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            )
            if vendor == "postgresql":
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_never_truncated ON {table}")
                cursor.execute(
                    f"CREATE TRIGGER {table}_never_truncated BEFORE TRUNCATE ON {table} "
                    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
                )


def remove(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        if not _has_triggers(cursor, schema_editor.connection.vendor):
            return
        for table in TABLES:
            cursor.execute(f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}")
            if schema_editor.connection.vendor == "postgresql":
                cursor.execute(f"DROP TRIGGER IF EXISTS {table}_never_truncated ON {table}")
        cursor.execute("DROP FUNCTION IF EXISTS refuse_change()")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0003_merkle_log")]
    operations = [migrations.RunPython(add, remove)]
