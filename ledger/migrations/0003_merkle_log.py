"""Tiles of the Merkle tree over the journal, and its signed heads: append-only like the journal itself.

Only full tiles are stored. A tile's primary key is what fences two relays that extend the tree at once.
"""

import django.db.models
from django.conf import settings
from django.db import migrations, models

TILES = """
CREATE TABLE IF NOT EXISTS tiles (
    level      integer NOT NULL CHECK (level BETWEEN 0 AND 63),
    tile_index bigint  NOT NULL CHECK (tile_index >= 0),
    hashes     bytea   NOT NULL CHECK (length(hashes) = 8192),
    root       bytea   NOT NULL CHECK (length(root) = 32),
    PRIMARY KEY (level, tile_index)
)
"""
TREE_HEADS = """
CREATE TABLE IF NOT EXISTS tree_heads (
    tree_size bigint      NOT NULL PRIMARY KEY CHECK (tree_size > 0),
    note      text        NOT NULL,
    signed_at timestamptz NOT NULL
)
"""
TABLES = ("tiles", "tree_heads")
MODELS = [
    migrations.CreateModel(
        name="Tile",
        fields=[
            (
                "pk",
                django.db.models.CompositePrimaryKey(
                    "level", "tile_index", blank=True, editable=False, primary_key=True, serialize=False
                ),
            ),
            ("level", models.IntegerField(help_text="0: leaf hashes; each level above: the roots of full tiles below")),
            ("tile_index", models.BigIntegerField(help_text="0-based within the level")),
            ("hashes", models.BinaryField(help_text="256 hashes of 32 bytes")),
            ("root", models.BinaryField(help_text="Merkle tree hash of the 256")),
        ],
        options={
            "db_table": "tiles",
        },
    ),
    migrations.CreateModel(
        name="TreeHead",
        fields=[
            (
                "tree_size",
                models.BigIntegerField(
                    help_text="positions 1 to this one are under it", primary_key=True, serialize=False
                ),
            ),
            ("note", models.TextField(help_text="C2SP checkpoint: origin, size, root, signatures")),
            ("signed_at", models.DateTimeField(help_text="for people; no part of what is signed")),
        ],
        options={
            "db_table": "tree_heads",
        },
    ),
]


def grant(apps, schema_editor):
    role = schema_editor.quote_name(settings.EVENT_STORE_ROLE)
    with schema_editor.connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"GRANT SELECT, INSERT ON {table} TO {role}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("ledger", "0002_append_only_role")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(TILES, "DROP TABLE IF EXISTS tiles"),
                migrations.RunSQL(TREE_HEADS, "DROP TABLE IF EXISTS tree_heads"),
            ],
            state_operations=MODELS,
        ),
        migrations.RunPython(grant, migrations.RunPython.noop),
    ]
