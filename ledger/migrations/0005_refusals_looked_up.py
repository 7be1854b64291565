"""Indexes by which auditors look refusals up: who asked, with what code, and about which account.

`command` names its accounts under several names, also within lists, so that one is an inverted index
(https://www.cockroachlabs.com/docs/stable/inverted-indexes; the same statement makes PostgreSQL's GIN).
"""

from django.db import migrations

STATEMENTS = [
    "CREATE INDEX IF NOT EXISTS refusals_by_actor ON refusals (actor, recorded_at, refusal_id)",
    "CREATE INDEX IF NOT EXISTS refusals_by_code ON refusals (code, recorded_at, refusal_id)",
    "CREATE INDEX IF NOT EXISTS refusals_by_account ON refusals USING GIN (command)",
]
NAMES = ("refusals_by_actor", "refusals_by_code", "refusals_by_account")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0004_append_only_triggers")]
    operations = [
        migrations.RunSQL(statement, f"DROP INDEX IF EXISTS {name}")
        for statement, name in zip(STATEMENTS, NAMES, strict=True)
    ]
