"""On PostgreSQL nobody but the owner makes anything in the schema of the event store.

Until PostgreSQL 15 everybody could by default, and an upgraded server keeps that: an operator or a function made
there is carried out by whoever calls it, with their rights (CVE-2018-1058). CockroachDB knows no such operators.

Source: https://www.postgresql.org/docs/18/ddl-schemas.html#DDL-SCHEMAS-PATTERNS.
"""

from django.db import migrations


def revoke(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0006_keys_expire")]
    operations = [migrations.RunPython(revoke, migrations.RunPython.noop)]
