"""docs/api.md lists every call of the OpenAPI document, and none that there is not."""

from __future__ import annotations

import re

import pytest
from drf_spectacular.generators import SchemaGenerator

from ledger.api import batch, parameters
from ledger.engine import batching, execute
from tests.servers import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
CALL = re.compile(r"^\| ([A-Z]+) `(/api/v1/[^`]+)` \|", re.MULTILINE)


def test_every_call_is_listed_and_no_other() -> None:
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    existing = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    listed = CALL.findall(DOCUMENT)
    assert len(listed) == len(set(listed))
    assert set(listed) == existing


@pytest.mark.parametrize(
    "said",
    [
        f"up to {batching.COMMANDS_PER_CALL_MAX} in one transaction",
        f"{batching.WAITING_MAX:,} waiting in one process",
        f"up to {execute.COMMANDS_MAX:,} commands",
        f"in transactions of {execute.COMMANDS_PER_TRANSACTION:,}",
        f"Two batches are worked on in one process and {batch.BATCHES_WAITING_MAX} wait",
        f"1 to {parameters.PAGE_MAX}, {parameters.PAGE_DEFAULT} when absent",
    ],
)
def test_the_limits_it_names_are_the_codes(said: str) -> None:
    assert said in " ".join(DOCUMENT.split())
