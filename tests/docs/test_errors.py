"""docs/errors.md names every error there is, with its status, and none that there is not."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import ledger
import projections
from ledger.domain.errors import LedgerError
from tests.servers import REPOSITORY

ROW = re.compile(r"^\| `(\w+)` \| (\d+) \|", re.MULTILINE)
DOCUMENT = (REPOSITORY / "docs" / "errors.md").read_text(encoding="utf-8")


def subclasses(base: type[LedgerError]) -> Iterator[type[LedgerError]]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def existing() -> dict[str, int]:
    for package in (ledger, projections):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name:
                importlib.import_module(module.name)
    found = [error for error in subclasses(LedgerError) if error.__module__.startswith(("ledger.", "projections."))]
    return {error.code: error.status for error in found}


def documented() -> list[tuple[str, int]]:
    return [(code, int(status)) for code, status in ROW.findall(DOCUMENT)]


def test_every_error_is_documented_with_its_status_and_no_other() -> None:
    assert dict(documented()) == existing()


def test_no_error_is_documented_twice() -> None:
    codes = [code for code, _ in documented()]
    assert len(codes) == len(set(codes))


def test_one_code_means_one_status() -> None:
    statuses: dict[str, set[int]] = {}
    for error in subclasses(LedgerError):
        statuses.setdefault(error.code, set()).add(error.status)
    assert {code: found for code, found in statuses.items() if len(found) > 1} == {}
