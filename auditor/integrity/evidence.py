"""An evidence bundle over HTTP: what `export_evidence` writes, sent from a temporary file in pieces.

A bundle is made in memory; one of more events than EVENTS_MAX is a job for the command, not for a web process.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO
from uuid import UUID

from django.http import StreamingHttpResponse

from auditor.threads import in_thread
from ledger.errors import Malformed
from ledger.evidence.bundle import write_bundle
from ledger.evidence.selection import Selection
from ledger.store import history, tree_heads
from ledger.store.connection import dedicated_connection

EVENTS_MAX = 5_000  # some 15 MB
PIECE_BYTES = 64 * 1024


class TooLargeForThePortal(Malformed):
    """The account has more events than the portal bundles: `export_evidence` has no such bound."""

    code = "too_large_for_the_portal"


def of_event(event_id: UUID) -> StreamingHttpResponse:
    return _bundle(Selection(event_ids=(event_id,)), f"evidence-{event_id}.zip")


def of_account(account_id: str) -> StreamingHttpResponse:
    """Raises: TooLargeForThePortal."""
    if (version := history.head_version(account_id)) > EVENTS_MAX:
        raise TooLargeForThePortal(
            f"{account_id} has {version} events, and the portal bundles at most {EVENTS_MAX}: "
            f"run manage.py export_evidence --account {account_id}"
        )
    return _bundle(Selection(account_id=account_id), f"evidence-{account_id}.zip")


def _bundle(selection: Selection, name: str) -> StreamingHttpResponse:
    """Raises: NothingToProve, NoTreeHead, LogKeyUnusable."""
    with tempfile.TemporaryDirectory(prefix="evidence-") as folder:
        path = Path(folder) / "evidence.zip"
        with dedicated_connection() as conn:
            head = tree_heads.at_size(conn, None)
            write_bundle(conn, path, selection, head)
        file = path.open("rb")  # it outlives its name
    response = StreamingHttpResponse(_pieces(file), content_type="application/zip")
    # Also where nobody begins to read. The type: django-stubs lacks this attribute of HttpResponseBase.
    response._resource_closers.append(file.close)  # type: ignore[attr-defined]
    response["Content-Disposition"] = f'attachment; filename="{name.replace(":", "_")}"'
    return response


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await in_thread(file.read, PIECE_BYTES):
            yield piece
