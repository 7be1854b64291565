"""Keys for lines that bring none: from what a line says, and how many lines before it in the file say the same.

So the key does not depend on the file's name or on the line's place: a file that was cut short, sorted or mended
is recognised, line by line, and two lines that say the same are two commands. The price: next month's file with
the same rents says the same as this month's. Such files bring keys, or are imported under a name (`--run`).

These keys are on record for ever, so where a line holds a text its hash is keyed (ADR 8): what was erased cannot be
found again by trying. Not by the key of its subject, or an import that goes on after an erasure would do its lines
twice.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from types import TracebackType

from ledger.engine.sealing import texts_of
from ledger.engine.submission import Submission
from ledger.subjects.keys import RING

_DIGITS = 40  # of the request hash: 160 bits

_COUNT = """
INSERT INTO seen (request, times) VALUES (?, 1) ON CONFLICT (request) DO UPDATE SET times = times + 1 RETURNING times
"""


class DerivedKeys:
    """Use as a context manager. The counts are in a temporary database on disk: memory does not grow with the file."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._counts = sqlite3.connect("", isolation_level=None)
        self._counts.execute("PRAGMA journal_mode = OFF")
        self._counts.execute("CREATE TABLE seen (request BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID")

    def __enter__(self) -> DerivedKeys:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._counts.close()

    def keyed(self, submission: Submission) -> Submission:
        """Return the submission with a key: its own, or one derived from what it asks for."""
        if submission.idempotency_key is not None:
            return submission
        if texts_of(submission.command):
            request = submission.request_hash(RING.of_the_ledger().keyed_hash)
        else:
            request = submission.request_hash()
        ((times,),) = self._counts.execute(_COUNT, (request,)).fetchall()
        return replace(submission, idempotency_key=f"import:{self._run}:{request.hex()[:_DIGITS]}:{times}")
