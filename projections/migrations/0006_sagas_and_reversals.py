"""New words for what a row can be, no change of a table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("projections", "0005_due_holds"),
    ]

    operations = [
        migrations.AlterField(
            model_name="transaction",
            name="kind",
            field=models.CharField(
                help_text="deposit, withdrawal, transfer_in, transfer_out, capture or reversal", max_length=16
            ),
        ),
        migrations.AlterField(
            model_name="transfer",
            name="kind",
            field=models.CharField(help_text="transfer, multi_transfer, exchange, saga or hold", max_length=16),
        ),
        migrations.AlterField(
            model_name="transfer",
            name="status",
            field=models.CharField(
                help_text="started, completed, failed or reversed; of a hold held, captured, released or expired",
                max_length=16,
            ),
        ),
    ]
