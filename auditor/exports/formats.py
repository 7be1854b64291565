"""Three ways to write rows, a piece at a time: CSV, JSON Lines, Parquet.

A writer holds one piece and no more, whatever the length of the whole. CSV is for spreadsheets, which take a cell
that begins like a formula for one: `safe` says what is done about it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from auditor.exports.columns import Column, Kind, utc
from ledger.domain.instants import format_instant

Rows = Sequence[Sequence[Any]]
# What spreadsheets take for the beginning of a formula (OWASP, CSV injection), and the mark itself, so that a
# program can take it off again: a cell that begins with an apostrophe has lost exactly one to us.
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
MARK = "'"


class Writer(Protocol):
    """`content_type` and `suffix` of the file; its bytes come from `begin`, then `rows` again and again, then `end`."""

    content_type: str
    suffix: str

    def begin(self) -> bytes: ...

    def rows(self, rows: Rows) -> bytes: ...

    def end(self) -> bytes: ...


def safe(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe before one that begins like it."""
    if text.startswith(_DANGEROUS) and not _NUMBER.fullmatch(text):
        return MARK + text
    return text


class CsvWriter:
    """RFC 4180, UTF-8, instants as RFC 3339, nothing for what is not known."""

    content_type = "text/csv; charset=utf-8"
    suffix = "csv"

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._buffer = io.StringIO(newline="")
        self._csv = csv.writer(self._buffer, lineterminator="\r\n")

    def begin(self) -> bytes:
        self._csv.writerow([column.name for column in self._columns])
        return self._taken()

    def rows(self, rows: Rows) -> bytes:
        kinds = [column.kind for column in self._columns]
        self._csv.writerows([safe(_text(v, kind)) for v, kind in zip(row, kinds, strict=True)] for row in rows)
        return self._taken()

    def end(self) -> bytes:
        return b""

    def _taken(self) -> bytes:
        written = self._buffer.getvalue().encode()
        self._buffer.seek(0)
        self._buffer.truncate()
        return written


def _text(value: Any, kind: Kind) -> str:
    if value is None:
        return ""
    if kind is Kind.BOOLEAN:
        return "true" if value else "false"
    if kind is Kind.INSTANT:
        return format_instant(utc(value))
    return orjson.dumps(value).decode() if kind is Kind.JSON else str(value)


class JsonLinesWriter:
    """One JSON object a line. Decimals are strings, so that no reader rounds them."""

    content_type = "application/x-ndjson"
    suffix = "jsonl"

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns

    def begin(self) -> bytes:
        return b""

    def rows(self, rows: Rows) -> bytes:
        names = [(column.name, column.kind) for column in self._columns]
        return b"".join(
            orjson.dumps({name: _json(v, kind) for (name, kind), v in zip(names, row, strict=True)}) + b"\n"
            for row in rows
        )

    def end(self) -> bytes:
        return b""


def _json(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind is Kind.INSTANT:
        return format_instant(utc(value))
    return str(value) if kind is Kind.DECIMAL else value


class ParquetWriter:
    """One row group a piece. Instants are timestamps of microseconds in UTC; JSON and decimals are strings."""

    content_type = "application/vnd.apache.parquet"
    suffix = "parquet"

    def __init__(self, columns: Sequence[Column]) -> None:
        import pyarrow  # 50 MB of memory that a process need not spend before somebody asks for Parquet
        from pyarrow import parquet

        types = {
            Kind.INTEGER: pyarrow.int64(),
            Kind.BOOLEAN: pyarrow.bool_(),
            Kind.INSTANT: pyarrow.timestamp("us", tz="UTC"),
        }
        self._columns, self._arrow = columns, pyarrow
        self._schema = pyarrow.schema([(c.name, types.get(c.kind, pyarrow.string())) for c in columns])
        self._sink = _Sink()
        self._parquet = parquet.ParquetWriter(pyarrow.PythonFile(self._sink, mode="w"), self._schema)

    def begin(self) -> bytes:
        return self._sink.taken()

    def rows(self, rows: Rows) -> bytes:
        if rows:
            arrays = [
                self._arrow.array([_arrow(v, column.kind) for v in values], type=field.type)
                for values, column, field in zip(zip(*rows, strict=True), self._columns, self._schema, strict=True)
            ]
            self._parquet.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        return self._sink.taken()

    def end(self) -> bytes:
        self._parquet.close()
        return self._sink.taken()


def _arrow(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind is Kind.JSON:
        return orjson.dumps(value).decode()
    return str(value) if kind is Kind.DECIMAL else value


class _Sink(io.RawIOBase):
    """A file that can be written to and emptied, and knows how much it was given in all."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._written

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


WRITERS: dict[str, tuple[str, type[CsvWriter | JsonLinesWriter | ParquetWriter]]] = {
    "csv": ("CSV", CsvWriter),
    "jsonl": ("JSON Lines", JsonLinesWriter),
    "parquet": ("Parquet", ParquetWriter),
}
