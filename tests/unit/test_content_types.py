"""Twisted reads each Content-Type once, as it always did."""

from __future__ import annotations

import pytest
from twisted.web import http

from chronicle import content_types

HEADERS = {
    b"application/json": b"application/json",
    b'Application/JSON; charset="utf-8"': b"application/json",
    b"multipart/form-data; boundary=x": b"multipart/form-data",
    b"nonsense": b"text/plain",
    b"": b"text/plain",
}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twisted as it comes, whatever this process has done to it."""
    monkeypatch.setattr(
        http, "_parseContentType", getattr(http._parseContentType, "__wrapped__", http._parseContentType)
    )


def test_what_is_remembered_is_what_twisted_reads(plain: None) -> None:
    read = {header: http._parseContentType(header) for header in HEADERS}
    assert read == HEADERS
    content_types.remember()
    content_types.remember()
    assert {header: http._parseContentType(header) for header in (*HEADERS, *HEADERS)} == read
    assert http._parseContentType.cache_info().hits == len(HEADERS)  # type: ignore[attr-defined]


def test_what_clients_send_does_not_pile_up(plain: None) -> None:
    content_types.remember()
    for number in range(2 * content_types.REMEMBERED_MAX):
        http._parseContentType(b"text/x-%d" % number)
    assert http._parseContentType.cache_info().currsize == content_types.REMEMBERED_MAX  # type: ignore[attr-defined]
