"""Reads a file of commands line by line: CSV with a header, or JSON Lines. What is held is one line, never the file.

A line is one command and stands for itself: one that cannot be read is an error with its number, and the next
is read as if nothing had been. So a quoted cell ends on its line; no text of a command may hold a line break.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ledger.api.body import BODY_BYTES_MAX, INTEGER_DIGITS_MAX, parse_object
from ledger.api.errors import BodyTooLarge, InvalidLine
from ledger.api.fields import VersionField
from ledger.api.submissions import FORMS, LegsField
from ledger.domain.errors import LedgerError

LINE_BYTES_MAX = BODY_BYTES_MAX  # as much as the same command may have when it is sent alone
BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # which spreadsheets put before UTF-8
_FIELDS = {name: field for form in FORMS.values() for name, field in form.serializer.fields.items()}
# A list of legs is no cell: commands that have one come as JSON Lines.
COLUMNS = ("type", "idempotency_key", *(name for name, field in _FIELDS.items() if not isinstance(field, LegsField)))
_WHOLE_NUMBERS = {name for name, field in _FIELDS.items() if isinstance(field, VersionField)}


class UnusableHeader(Exception):
    """The first line of a CSV file does not say what its columns are. `str()` is one sentence."""


@dataclass(frozen=True, slots=True)
class Line:
    """`number`: from 1, the header counted. `content`: a command's fields, or why there are none. `end`: bytes."""

    number: int
    content: dict[str, Any] | LedgerError
    end: int


def read_json_lines(stream: BinaryIO) -> Iterator[Line]:
    """Yield a line for each that is not blank."""
    for number, raw, end in _lines(stream):
        try:
            if raw is None:
                raise _too_long()
            yield Line(number, parse_object(raw), end)
        except LedgerError as error:
            yield Line(number, error, end)


def read_csv(stream: BinaryIO) -> Iterator[Line]:
    """Yield a line for each that is not blank. An empty cell is a field that is left out.

    Raises: UnusableHeader.
    """
    lines = _lines(stream)
    header = _header(lines)
    for number, raw, end in lines:
        try:
            yield Line(number, _fields(header, _cells(raw)), end)
        except LedgerError as error:
            yield Line(number, error, end)


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None, int]]:
    """Yield number, content and end of each line that is not blank; None for one that is too long."""
    number = end = 0
    while raw := stream.readline(LINE_BYTES_MAX + 1):
        number, end = number + 1, end + len(raw)
        content: bytes | None = raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw
        while len(raw) > LINE_BYTES_MAX and not raw.endswith(b"\n"):
            # The rest is let go by the piece: a line may be as long as the file.
            content, raw = None, stream.readline(LINE_BYTES_MAX + 1)
            end += len(raw)
        if content is None or (content := content.rstrip(b"\r\n")).strip():
            yield number, content, end


def _header(lines: Iterator[tuple[int, bytes | None, int]]) -> list[str]:
    try:
        _, raw, _ = next(lines, (0, b"", 0))
        header = [name.strip() for name in _cells(raw)] if raw != b"" else []
    except LedgerError as error:
        raise UnusableHeader(f"the header cannot be read: {error}") from error
    if "type" not in header:
        raise UnusableHeader("the first line names the columns, and one of them is type")
    for name in header:
        if name not in COLUMNS:
            raise UnusableHeader(f"no command has a column {name[:64]!r}; there are {', '.join(COLUMNS)}")
        if header.count(name) > 1:
            raise UnusableHeader(f"the column {name} is there twice")
    return header


def _cells(raw: bytes | None) -> list[str]:
    if raw is None:
        raise _too_long()
    try:
        return next(csv.reader([raw.decode("utf-8")], strict=True))
    except UnicodeDecodeError as error:
        raise InvalidLine("the line is not UTF-8") from error
    except csv.Error as error:
        raise InvalidLine(f"the line is not CSV: {error}") from error


def _fields(header: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(header):
        raise InvalidLine(f"the line has {len(cells)} cells, its header {len(header)}")
    return {name: _value(name, cell) for name, cell in zip(header, cells, strict=True) if cell}


def _value(name: str, cell: str) -> str | int:
    """Return a cell as the JSON value it stands for; one that is out of form stays a text, which the form refuses."""
    is_number = name in _WHOLE_NUMBERS and cell.isascii() and cell.isdigit() and len(cell) <= INTEGER_DIGITS_MAX
    return int(cell) if is_number else cell


def _too_long() -> BodyTooLarge:
    return BodyTooLarge(f"a line has at most {LINE_BYTES_MAX} bytes", bytes_max=LINE_BYTES_MAX)


READERS = {"csv": read_csv, "jsonl": read_json_lines}
