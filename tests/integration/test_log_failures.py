"""What the log does not have, and what nobody may do with it: problems, as the API's, with the status that it is."""

from __future__ import annotations

import pytest
from django.test import Client

from chronicle.roles import Role
from tests.api_world import client_with
from tests.proof_world import small_history

pytestmark = pytest.mark.usefixtures("clean_stores")


def test_the_log_is_only_read() -> None:
    small_history()
    auditor = client_with(Role.AUDITOR)
    # As they come from a program, with no token of a form's.
    as_it_is = Client(enforce_csrf_checks=True)
    for path in ("checkpoint", "key", "keys", "tile/0/000", "tile/entries/000", "consistency"):
        assert auditor.post(f"/log/{path}").status_code == 405
        for method in ("post", "put", "delete", "patch"):
            answer = getattr(as_it_is, method)(f"/log/{path}")
            assert answer.json()["code"] == ("not_signed_in" if "entries" in path else "method_not_allowed"), path
    assert as_it_is.post("/log/checkpoint")["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/chekpoint", "/checkpoint/0", "/tile/99/000", "/tile/0/0", "/tile/0/999", "/checkpoint/9", "/", ""]
)
def test_what_the_log_has_not_is_a_problem_of_one_kind_and_kept_by_nobody(path: str) -> None:
    small_history()
    answer = Client().get(f"/log{path}")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["code"] in ("not_found", "no_such_tile", "no_tree_head")
    assert "max-age" not in answer.get("Cache-Control", "")
