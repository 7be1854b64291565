"""Files of commands, line by line: each stands for itself, and no more than one is ever held."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from ledger.domain.errors import LedgerError
from ledger.importing.lines import LINE_BYTES_MAX, Line, UnusableHeader, read_csv, read_json_lines

Reader = Callable[[Any], Iterator[Line]]
HEADER = b"type,account_id,amount,expected_version\n"


def read(reader: Reader, content: bytes) -> list[tuple[int, Any]]:
    """Return each line's number with its fields, or with the code of its error."""
    return [
        (line.number, line.content.code if isinstance(line.content, LedgerError) else line.content)
        for line in reader(io.BytesIO(content))
    ]


def test_json_lines_are_objects_whose_numbers_pass_no_float() -> None:
    assert read(read_json_lines, b'{"type": "deposit", "amount": 0.10}\n\n  \r\n{"a": 1}') == [
        (1, {"type": "deposit", "amount": Decimal("0.10")}),
        (4, {"a": 1}),
    ]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "invalid_json"),
        (b"[1]", "body_not_object"),
        (b'{"a": 1, "a": 2}', "duplicate_key"),
        (b'{"a": NaN}', "invalid_json"),
        (b'{"a": "\xff"}', "invalid_json"),
        (b'{"a": "' + b"x" * LINE_BYTES_MAX + b'"}', "body_too_large"),
        (b"x" * (3 * LINE_BYTES_MAX), "body_too_large"),
    ],
)
def test_a_json_line_that_cannot_be_read_is_an_error_of_its_own(line: bytes, code: str) -> None:
    assert read(read_json_lines, b'{"a": 1}\n' + line + b'\n{"a": 2}\n') == [(1, {"a": 1}), (2, code), (3, {"a": 2})]


def test_csv_cells_are_fields_and_an_empty_one_is_left_out() -> None:
    content = b"\xef\xbb\xbf" + HEADER + b'deposit,acc,"1.50",3\r\n\ndeposit,acc,,\n'
    assert read(read_csv, content) == [
        (2, {"type": "deposit", "account_id": "acc", "amount": "1.50", "expected_version": 3}),
        (4, {"type": "deposit", "account_id": "acc"}),
    ]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"deposit,acc,1", "invalid_line"),
        (b"deposit,acc,1,2,3", "invalid_line"),
        (b'deposit,"acc,1,', "invalid_line"),  # a quote that is never closed takes no other line with it
        (b'deposit,"a"c,1,', "invalid_line"),
        (b"deposit,a\rc,1,", "invalid_line"),
        (b"deposit,\xff,1,", "invalid_line"),
        (b"deposit,acc,1," + b"9" * LINE_BYTES_MAX, "body_too_large"),
    ],
)
def test_a_csv_line_that_cannot_be_read_is_an_error_of_its_own(line: bytes, code: str) -> None:
    good = {"type": "deposit", "account_id": "acc", "amount": "1"}
    content = HEADER + b"deposit,acc,1,\n" + line + b"\ndeposit,acc,1,\n"
    assert read(read_csv, content) == [(2, good), (3, code), (4, good)]


@pytest.mark.parametrize("version", ["-1", "1.0", "one", "9" * 100, "٣"])
def test_a_whole_number_out_of_form_stays_what_was_written(version: str) -> None:
    ((_, fields),) = read(read_csv, HEADER + f"deposit,acc,1,{version}".encode())
    assert fields["expected_version"] == version


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "one of them is type"),
        (b"account_id,amount\n", "one of them is type"),
        (b"type,acount_id\n", "no command has a column 'acount_id'"),
        (b"type,sources\n", "no command has a column 'sources'"),
        (b"type,amount,amount\n", "amount is there twice"),
        (b"type;amount\n", "one of them is type"),
        (b'"type,amount\n', "cannot be read"),
        (b"type,\xff\n", "cannot be read"),
    ],
)
def test_a_header_that_is_none_is_said(header: bytes, said: str) -> None:
    with pytest.raises(UnusableHeader, match=said):
        read(read_csv, header + b"deposit,acc\n")


class Endless(io.RawIOBase):
    """A file that never ends, in lines that are short or never end either."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        return size


def test_a_file_is_read_no_further_than_it_is_asked_for() -> None:
    stream = io.BufferedReader(Endless(b'{"a": 1}\n' * 100), 900)
    assert [line.number for line in islice(read_json_lines(stream), 250)] == list(range(1, 251))


def test_a_line_as_long_as_the_file_is_not_held() -> None:
    class Long(Endless):
        left = 400

        def readinto(self, buffer: Any) -> int:
            self.left -= 1
            return super().readinto(buffer) if self.left > 0 else 0

    stream = io.BufferedReader(Long(b"x" * 64 * 1024), 64 * 1024)
    tracemalloc.start()
    (line,) = read_json_lines(stream)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(line.content, LedgerError)
    assert line.end == 399 * 64 * 1024
    assert peak_bytes < 2 * 1024 * 1024


@pytest.mark.parametrize("content", [HEADER + b"deposit,acc,1,\n" * 3, HEADER + b"deposit,acc,1,"])
def test_the_end_of_the_last_line_is_the_end_of_the_file(content: bytes) -> None:
    assert [line.end for line in read_csv(io.BytesIO(content))][-1] == len(content)
