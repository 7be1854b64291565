"""Static files: at addresses that change with them, kept for ever there, and never a stale one for a new page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient, Client
from django.urls import reverse

from chronicle.static_files import version

# A response that ends looks after the databases' connections.
pytestmark = pytest.mark.django_db
ADDRESS = re.compile(r'(?:src|href)="(/static/[^"]+)"')
IMPORT = re.compile(r'from "\./([a-z_]+\.js)"')
FOR_EVER = re.compile(r"max-age=\d{8,}, public, immutable")


def read(address: str) -> tuple[str, str]:
    """Return a file's Cache-Control and what it holds."""
    answer = Client().get(address)
    assert answer.status_code == 200, address
    whole = b"".join(answer)
    answer.close()
    return answer["Cache-Control"], whole.decode()


def test_whatever_a_page_names_may_be_kept_for_ever_and_so_may_what_that_imports() -> None:
    page = Client().get(reverse("admin:login"))
    addresses = set(ADDRESS.findall(page.content.decode()))
    assert any(address.endswith("ledger/portal.css") for address in addresses)
    script = f"/static/{version()}/ledger/live.js"
    _, text = read(script)
    imported = {script.replace("live.js", name) for name in IMPORT.findall(text)}
    assert len(imported) > 2
    for address in addresses | imported:
        assert address.startswith(f"/static/{version()}/"), address
        answer = Client().get(address)
        assert FOR_EVER.fullmatch(answer["Cache-Control"]), address
        answer.close()


def test_what_is_asked_for_under_another_version_or_none_is_served_and_not_kept() -> None:
    for prefix in ("", "0123456789abcdef/"):
        kept, text = read(f"/static/{prefix}ledger/feed.js")
        assert kept == "max-age=0, public"
        assert "export class LedgerFeed" in text


async def test_they_are_served_in_the_event_loop_too() -> None:
    answer = await AsyncClient().get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css")
    assert (answer.status_code, answer["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    answer.close()
    assert (await AsyncClient().get("/static/no-such-file.css")).status_code == 404


def test_others_are_not_there() -> None:
    for path in (
        "no-such-file.css",
        f"{version()}/no-such-file.css",
        f"{version()}/../settings.py",
        "0123456789abcdef/",
    ):
        assert (Client().get(f"/static/{path}")).status_code == 404, path


def test_the_version_changes_with_any_file(settings: Any, tmp_path: Path) -> None:
    settings.STATICFILES_DIRS = [tmp_path]
    versions = set()
    for content in ("one", "two"):
        (tmp_path / "a.js").write_text(content)
        versions.add(version.__wrapped__())
    (tmp_path / "a.js").rename(tmp_path / "b.js")
    versions.add(version.__wrapped__())
    assert len(versions) == 3
