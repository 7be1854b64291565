"""The role the application runs as: it reads and adds, and the database refuses it everything else.

GRANT is the first lock on history (the second, triggers, comes with the tamper evidence). The outbox alone
may be deleted from: it says what is still to be ordered, and is no record of anything.
"""

from django.conf import settings
from django.db import DatabaseError, migrations

APPEND_ONLY_TABLES = ("events", "journal", "idempotency_keys", "refusals")


def grant(apps, schema_editor):
    role = schema_editor.quote_name(settings.EVENT_STORE_ROLE)
    with schema_editor.connection.cursor() as cursor:
        if not _exists(cursor):
            try:
                cursor.execute(f"CREATE ROLE {role} LOGIN")
            except DatabaseError:
                # Roles are the server's: whoever migrates another database there may have made it just now.
                if not _exists(cursor):
                    raise
        _let_the_owner_take(cursor, role, schema_editor.connection.vendor)
        for table in APPEND_ONLY_TABLES:
            cursor.execute(f"GRANT SELECT, INSERT ON {table} TO {role}")
        cursor.execute(f"GRANT SELECT, INSERT, DELETE ON outbox TO {role}")
        cursor.execute(f"GRANT SELECT ON django_migrations TO {role}")


def _exists(cursor):
    cursor.execute("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = %s", [settings.EVENT_STORE_ROLE])
    return cursor.fetchone() is not None


def _let_the_owner_take(cursor, role, vendor):
    """PostgreSQL 16+ lets a role's creator SET ROLE to it only when that was granted; superusers always may."""
    if vendor != "postgresql":
        return
    cursor.execute("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")
    if not cursor.fetchone()[0]:
        cursor.execute(f"GRANT {role} TO CURRENT_USER")


def revoke(apps, schema_editor):
    role = schema_editor.quote_name(settings.EVENT_STORE_ROLE)
    with schema_editor.connection.cursor() as cursor:
        for table in (*APPEND_ONLY_TABLES, "outbox", "django_migrations"):
            cursor.execute(f"REVOKE ALL ON {table} FROM {role}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0001_event_store")]
    operations = [migrations.RunPython(grant, revoke)]
