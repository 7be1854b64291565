"""Transfers show holds too, and where each stands: the table is made anew, and filled by a rebuild.

The rows of version 1 of the projection cannot be turned into those of version 2 without the events; until
`rebuild_projection transfers` has run, the projection stands still under an alarm that says so.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("projections", "0003_books"),
    ]

    operations = [
        migrations.DeleteModel(name="Transfer"),
        migrations.CreateModel(
            name="Transfer",
            fields=[
                (
                    "transfer_id",
                    models.CharField(
                        help_text="a hold's is its hold_id", max_length=64, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(help_text="transfer, multi_transfer, exchange or hold", max_length=16)),
                ("from_account_id", models.CharField(max_length=64)),
                ("to_account_id", models.CharField(help_text="of a hold the world outside", max_length=80)),
                ("amount_minor", models.BigIntegerField(help_text="what is to move: of a hold what is held")),
                (
                    "moved_minor",
                    models.BigIntegerField(help_text="what has moved: of a hold what was captured of it"),
                ),
                ("currency", models.CharField(max_length=10)),
                ("description", models.CharField(max_length=500)),
                (
                    "status",
                    models.CharField(
                        help_text="completed; of a hold held, captured, released or expired", max_length=16
                    ),
                ),
                ("expires_at", models.DateTimeField(help_text="of a hold that has a deadline", null=True)),
                ("events", models.JSONField(help_text="event_id and type of each of its events, in order")),
                ("recorded_at", models.DateTimeField(help_text="of the command that began it")),
                (
                    "position",
                    models.BigIntegerField(help_text="of the last event of the command that began it; never changes"),
                ),
                ("updated_at", models.DateTimeField(help_text="recorded_at of its last event")),
                ("updated_position", models.BigIntegerField(help_text="of its last event")),
            ],
            options={
                "db_table": "transfers",
                "indexes": [
                    models.Index(fields=["from_account_id", "-position"], name="transfers_by_source"),
                    models.Index(fields=["to_account_id", "-position"], name="transfers_by_target"),
                    models.Index(fields=["-position"], name="transfers_newest"),
                ],
            },
        ),
        migrations.AlterField(
            model_name="transaction",
            name="kind",
            field=models.CharField(
                help_text="deposit, withdrawal, transfer_in, transfer_out or capture", max_length=16
            ),
        ),
    ]
