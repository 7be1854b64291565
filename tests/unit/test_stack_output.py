"""Every line says who printed it, in colour only where a person looks at it."""

from __future__ import annotations

import asyncio
import io

import pytest

from chronicle.stack import output
from chronicle.stack.output import Output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ClosedPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


async def copied(content: bytes) -> str:
    stream = io.StringIO()
    source = asyncio.StreamReader()
    source.feed_data(content)
    source.feed_eof()
    await Output(stream).copy("web", source)
    return stream.getvalue()


async def test_every_line_carries_the_name_of_its_program() -> None:
    assert await copied(b"one\ntwo\r\nlast without end") == (
        "web       | one\nweb       | two\nweb       | last without end\n"
    )


async def test_bytes_that_are_no_text_are_shown_all_the_same() -> None:
    assert await copied(b"\xff\n") == "web       | \ufffd\n"


async def test_a_line_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LINE_BYTES_MAX", 4)
    assert await copied(b"abcdefgh") == "web       | abcdefgh\n"


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, plain = Terminal(), io.StringIO()
    Output(terminal).line("web", "x")
    Output(plain).line("web", "x")
    assert terminal.getvalue() == "\x1b[32mweb       |\x1b[0m x\n"
    assert plain.getvalue() == "web       | x\n"
    monkeypatch.setenv("NO_COLOR", "1")
    unwanted = Terminal()
    Output(unwanted).line("web", "x")
    assert unwanted.getvalue() == plain.getvalue()


def test_a_reader_that_is_gone_is_told_once() -> None:
    told: list[None] = []
    closed = Output(ClosedPipe(), lambda: told.append(None))
    closed.say("one")
    closed.say("two")
    assert len(told) == 1
