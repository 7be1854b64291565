"""Idempotency keys may be removed once they are old: by the owner alone, and not before a day has passed.

A key is no history: it says what a request was answered, and what it led to stays in `events` and `refusals`.
How long keys are promised to last is a setting; the day is what the database holds whatever the setting says
(ADR 6). The trigger keeps its name, so that the checks on the locks look for what they always looked for.
"""

from importlib import import_module

from django.db import migrations

_triggers = import_module("ledger.migrations.0004_append_only_triggers")
FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change_of_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND (OLD).recorded_at < clock_timestamp() - INTERVAL '1 day' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'history is append-only: an idempotency key is never changed, and kept for a day at least';
    RETURN NULL;
END
$$
"""


def _use(cursor, function):
    cursor.execute("DROP TRIGGER IF EXISTS idempotency_keys_append_only ON idempotency_keys")
    cursor.execute(
        "CREATE TRIGGER idempotency_keys_append_only BEFORE UPDATE OR DELETE ON idempotency_keys "
        f"FOR EACH ROW EXECUTE FUNCTION {function}()"
    )


def allow(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        if _triggers._has_triggers(cursor, schema_editor.connection.vendor):
            cursor.execute(FUNCTION)
            _use(cursor, "refuse_change_of_keys")


def forbid(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        if _triggers._has_triggers(cursor, schema_editor.connection.vendor):
            _use(cursor, "refuse_change")
            cursor.execute("DROP FUNCTION IF EXISTS refuse_change_of_keys()")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0005_refusals_looked_up")]
    operations = [migrations.RunPython(allow, forbid)]
