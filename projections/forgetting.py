"""Whether the read models have forgotten an erased subject, and the removal of sets that are kept from before."""

from __future__ import annotations

from psycopg import sql

from projections import rebuild
from projections.connection import read_model_connection
from projections.models import Checkpoint, ParkedEvent
from projections.projection import by_name, registry

# Whose tables hold texts.
WITH_TEXTS = ("accounts", "transactions", "transfers", "search")


def not_forgotten(position: int) -> list[str]:
    """Return the read models that have not applied the event at a position, or have it parked."""
    reached = dict(Checkpoint.objects.values_list("projection", "position"))
    parked = set(ParkedEvent.objects.filter(position=position).values_list("projection", flat=True))
    return [name for name in WITH_TEXTS if reached.get(name, 0) < position or name in parked]


def sweep() -> None:
    """Remove the old versions of the rows, and the samples of their values that PostgreSQL keeps to plan with."""
    with read_model_connection() as connection:
        for table in (table for name in WITH_TEXTS for table in by_name(name).tables):
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(table)))


def drop_kept_sets() -> list[str]:
    """Drop the sets of tables that a rebuild left as they were, and return whose. Raises: RebuildError."""
    with read_model_connection() as connection:
        texts = (projection for projection in registry() if projection.name in WITH_TEXTS)
        return [projection.name for projection in texts if rebuild.drop_previous(connection, projection)]
